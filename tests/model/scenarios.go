package model

// The scenarios. Each bounds a state space in which one group of rules matters;
// keys 0 and 1 live in backend 0, keys 2 and 3 in backend 1, unless it moves them.

var twoByTwo = [2][NumKeys]uint8{{0, 0, 1, 1}, {0, 0, 1, 1}}

func scenario(name string, c Scenario) *Scenario {
	c.Name, c.Rules = name, AllRules
	if c.Route == [2][NumKeys]uint8{} {
		c.Route = twoByTwo
	}
	if c.Resources == nil {
		c.Resources = [][]int{{0, 2}}
	}
	if c.MaxStates == 0 {
		c.MaxStates = 4 << 20
	}
	return &c
}

// w is a put by a process.
func w(proc int, keys ...int) WriteOp { return WriteOp{Proc: proc, Keys: keys} }

// Outcome: three writes of two processes, two of them in one lane, and all that
// can happen to a COMMIT: lost reply, session killed, client crashed.
func Outcome() *Scenario {
	return scenario("outcome", Scenario{
		Ops:         []WriteOp{w(0, 0), w(1, 0), w(1, 2)},
		Reads:       []Read{{Proc: 1, Keys: []int{0, 2}}},
		Faults:      map[Fault]int{Crash: 1, Lost: 1, Kill: 1},
		ReadersVoid: true,
	})
}

// Early: numbers are taken before the lock, "to hide M's round trip".
func Early() *Scenario {
	c := Outcome()
	c.Name, c.EarlyTake = "early-take", true
	return c
}

// Zombie: early takes in one lane; two lists, one of a process that cannot write.
func Zombie() *Scenario {
	return scenario("zombie", Scenario{
		Ops:         []WriteOp{w(0, 0), w(1, 0, 1)},
		Reads:       []Read{{Proc: 1, Keys: []int{0, 2}}, {Proc: 2, Keys: []int{0, 2}, After: 1}},
		Faults:      map[Fault]int{Crash: 1},
		EarlyTake:   true,
		ReadersVoid: true,
	})
}

// TwoLists: a list that could join another one's resolve.
func TwoLists() *Scenario {
	return scenario("two-lists", Scenario{
		Ops:   []WriteOp{w(0, 0), w(1, 2)},
		Reads: []Read{{Proc: 2, Keys: []int{0, 2}}, {Proc: 2, Keys: []int{0, 2}}},
	})
}

// Conflicts: two creators of one key; only one may be told that it won.
func Conflicts() *Scenario {
	return scenario("conflicts", Scenario{
		Ops:    []WriteOp{{Proc: 0, Kind: Create, Keys: []int{0}}, {Proc: 1, Kind: Create, Keys: []int{0}}, {Proc: 0, Kind: Delete, Keys: []int{0}}},
		Reads:  []Read{{Proc: 1, Keys: []int{0, 2}}},
		Faults: map[Fault]int{Lost: 1, Kill: 1},
	})
}

// PlusOne: one writing process without faults.
func PlusOne() *Scenario {
	return scenario("plus-one", Scenario{
		Ops:     []WriteOp{{Proc: 0, Kind: Create, Keys: []int{0}}, {Proc: 0, Kind: Create, Keys: []int{0}}, w(0, 0), w(0, 2)},
		PlusOne: true,
	})
}

// WatchOne: two processes write to one backend, one of them watches it.
func WatchOne() *Scenario {
	return scenario("watch-one", Scenario{
		Ops:       []WriteOp{w(0, 0), w(1, 0), w(0, 0, 1)},
		Resources: [][]int{{0, 1}},
		Reads:     []Read{{Proc: 1, Keys: []int{0, 1}}},
		Faults:    map[Fault]int{Lost: 1, Crash: 1},
		Watch:     true, WatchProc: 1, FromList: true, Progress: true,
	})
}

// WatchTwo: a watch over two backends that different processes write to; its
// events are merged, its progress is asked for.
func WatchTwo() *Scenario {
	return scenario("watch-two", Scenario{
		Ops:    []WriteOp{w(0, 0), w(1, 2), w(1, 0)},
		Faults: map[Fault]int{Crash: 1},
		Watch:  true, WatchProc: 1, Progress: true,
	})
}

// WatchReadOnly: the watching process only reads; writers crash and lose replies.
func WatchReadOnly() *Scenario {
	return scenario("watch-read-only", Scenario{
		Ops:    []WriteOp{w(0, 0), w(1, 2)},
		Faults: map[Fault]int{Crash: 1, Lost: 1},
		Reads:  []Read{{Proc: 2, Keys: []int{0, 2}}},
		Watch:  true, WatchProc: 2, FromList: true,
	})
}

// WatchFloor: compactions overtake a watch that follows slowly.
func WatchFloor() *Scenario {
	return scenario("watch-floor", Scenario{
		Ops:         []WriteOp{w(0, 0), w(0, 0)},
		Reads:       []Read{{Proc: 2, Keys: []int{0, 2}}},
		Compactions: 1,
		Watch:       true, WatchProc: 2, FromList: true,
	})
}

// MemoryOne: the engine of one process: lists of one backend, current revisions.
func MemoryOne() *Scenario {
	return scenario("memory-one", Scenario{
		Ops:       []WriteOp{w(0, 0), w(1, 2), w(0, 0, 1), w(1, 2)},
		Resources: [][]int{{0, 1}},
		Reads:     []Read{{Proc: 2, Keys: []int{0, 1}}, {Proc: 2, Kind: Current, Keys: []int{0, 1}, After: 1}},
		Faults:    map[Fault]int{Lost: 1, Kill: 1},
		Memory:    true,
	})
}

// MemoryTwo: lists and a watch over both backends of one process.
func MemoryTwo() *Scenario {
	return scenario("memory-two", Scenario{
		Ops:    []WriteOp{w(0, 0), w(1, 2), w(0, 0)},
		Reads:  []Read{{Proc: 2, Keys: []int{0, 2}}},
		Faults: map[Fault]int{Lost: 1, Kill: 1},
		Memory: true, Watch: true, WatchProc: 2,
	})
}

// MemoryProgress: progress is asked for while batches are in flight.
func MemoryProgress() *Scenario {
	return scenario("memory-progress", Scenario{
		Ops:    []WriteOp{w(0, 0), w(1, 2), w(0, 0)},
		Reads:  []Read{{Proc: 2, Kind: Current, Keys: []int{0, 2}}},
		Memory: true, Watch: true, WatchProc: 2, Progress: true,
	})
}

// Namespaces: a resource is spread by namespace; lists of one namespace.
func Namespaces() *Scenario {
	return scenario("namespaces", Scenario{
		Ops:    []WriteOp{w(0, 0), w(1, 2)},
		Reads:  []Read{{Proc: 2, Keys: []int{0}}, {Proc: 2, Kind: ListMin, Keys: []int{2}}},
		Faults: map[Fault]int{Crash: 1},
	})
}

// Minimum: a list that must not be older than another resource's revision, and
// the next list of its resource.
func Minimum() *Scenario {
	return scenario("minimum", Scenario{
		Ops:       []WriteOp{w(0, 0), w(1, 2)},
		Resources: [][]int{{2}, {0}},
		Reads:     []Read{{Proc: 2, Kind: ListMin, Keys: []int{2}}, {Proc: 2, Keys: []int{2}, After: 1}},
	})
}

// Compaction: floors, and lists at exactly a revision.
func Compaction() *Scenario {
	return scenario("compaction", Scenario{
		Ops:         []WriteOp{w(0, 0), w(0, 0), {Proc: 1, Kind: Delete, Keys: []int{0}}},
		Resources:   [][]int{{0, 2}},
		Reads:       []Read{{Proc: 2, Kind: ListAt, Keys: []int{0, 2}}, {Proc: 2, Keys: []int{0, 2}}},
		Compactions: 2,
	})
}

// QuietFloor: a compaction, and a resource in a backend that nobody writes to.
func QuietFloor() *Scenario {
	return scenario("quiet-floor", Scenario{
		Ops:         []WriteOp{w(0, 0), w(0, 0)},
		Resources:   [][]int{{2}},
		Reads:       []Read{{Proc: 2, Keys: []int{2}}},
		Compactions: 1,
	})
}

// TokenFloor: a compaction overtakes the search for a token.
func TokenFloor() *Scenario {
	return scenario("token-floor", Scenario{
		Ops:         []WriteOp{w(0, 0), w(1, 0)},
		Faults:      map[Fault]int{Lost: 1},
		Compactions: 1,
	})
}

// Etcd: two processes write to one etcd; replies are lost, clients retry.
func Etcd() *Scenario {
	return scenario("etcd", Scenario{
		Ops:    []WriteOp{w(0, 0), w(1, 0), w(1, 2)},
		Reads:  []Read{{Proc: 1, Keys: []int{0, 2}}},
		Faults: map[Fault]int{Crash: 1, Lost: 1},
		Etcd:   true, ReadersVoid: true,
	})
}
