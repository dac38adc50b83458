package model

// Scenarios with a backend in the database of the metadata store: backend 0.

// Together: two writers of that backend and one of the other; all that can
// happen to a COMMIT; a list over both.
func Together() *Scenario {
	return scenario("together", Scenario{
		Ops:      []WriteOp{w(0, 0), w(1, 0), w(1, 2)},
		Reads:    []Read{{Proc: 1, Keys: []int{0, 2}}},
		Faults:   map[Fault]int{Crash: 1, Lost: 1, Kill: 1},
		Together: 1, ReadersVoid: true,
	})
}

// TogetherMixed: the same backend's batches may take apart at any time, as a
// server does that lost a race a moment ago.
func TogetherMixed() *Scenario {
	return scenario("together-mixed", Scenario{
		Ops:      []WriteOp{w(0, 0), w(1, 0), w(1, 2)},
		Reads:    []Read{{Proc: 1, Keys: []int{0, 2}}},
		Faults:   map[Fault]int{Crash: 1, Lost: 1},
		Together: 1, Mixed: true,
	})
}

// TogetherAlone: a list and a watch of that backend alone, while one
// process takes numbers for the other one.
func TogetherAlone() *Scenario {
	return scenario("together-alone", Scenario{
		Ops:       []WriteOp{w(0, 0, 1), w(1, 0), w(1, 2)},
		Resources: [][]int{{0, 1}},
		Reads:     []Read{{Proc: 1, Keys: []int{0, 1}}},
		Faults:    map[Fault]int{Lost: 1, Crash: 1},
		Together:  1, Watch: true, WatchProc: 1, FromList: true,
	})
}

// TogetherWatch: a watch over both backends, its progress is asked for.
func TogetherWatch() *Scenario {
	return scenario("together-watch", Scenario{
		Ops:      []WriteOp{w(0, 0), w(1, 2), w(1, 0)},
		Faults:   map[Fault]int{Crash: 1},
		Together: 1, Watch: true, WatchProc: 1, Progress: true,
	})
}

// TogetherSpread: a list over both and a list of one namespace that is not
// older than anything; nothing may be called too new.
func TogetherSpread() *Scenario {
	return scenario("together-spread", Scenario{
		Ops:       []WriteOp{w(0, 0), w(1, 0), w(1, 2)},
		Resources: [][]int{{2}, {0}},
		Reads:     []Read{{Proc: 2, Keys: []int{0}, Resource: 1}, {Proc: 2, Kind: ListMin, Keys: []int{2}, After: 1}},
		Faults:    map[Fault]int{Lost: 1},
		Together:  1,
	})
}

// TogetherMinimum: a minimum raises the head of that backend.
func TogetherMinimum() *Scenario {
	return scenario("together-minimum", Scenario{
		Ops:       []WriteOp{w(0, 2), w(1, 0), w(0, 0)},
		Resources: [][]int{{0}, {2}},
		Reads:     []Read{{Proc: 2, Kind: ListMin, Keys: []int{0}}, {Proc: 2, Keys: []int{0}, After: 1}},
		Faults:    map[Fault]int{Lost: 1},
		Together:  1,
	})
}

// TogetherPlusOne: who only writes there leaves no gaps, whatever goes wrong.
func TogetherPlusOne() *Scenario {
	return scenario("together-plus-one", Scenario{
		Ops:      []WriteOp{{Proc: 0, Kind: Create, Keys: []int{0}}, w(0, 0, 1), w(1, 0), w(1, 1)},
		Faults:   map[Fault]int{Lost: 1, Kill: 1, Crash: 1},
		Together: 1, PlusOne: true,
	})
}

// TogetherStart: a process that was thought dead goes on, with a batch on its
// way; its successor starts.
func TogetherStart() *Scenario {
	return scenario("together-start", Scenario{
		Ops:      []WriteOp{w(0, 0), w(0, 2), w(0, 0), w(1, 0)},
		Reads:    []Read{{Proc: 1, Keys: []int{0, 2}}},
		Faults:   map[Fault]int{Lost: 1, Crash: 1},
		Together: 1, Starts: true, Shared: true,
	})
}

// TogetherKnown: a list tells a process of numbers while its batch is on its way.
func TogetherKnown() *Scenario {
	return scenario("together-known", Scenario{
		Ops:      []WriteOp{w(0, 0), w(1, 2), w(0, 2)},
		Reads:    []Read{{Proc: 0, Keys: []int{0, 2}}},
		Together: 1, Knows: true,
	})
}

// TogetherOlder: an older copy of the database comes back, M and lane at once;
// one process, alive, has seen more.
func TogetherOlder() *Scenario {
	return scenario("together-older", Scenario{
		Ops:      []WriteOp{w(0, 0), w(0, 2), w(0, 0)},
		Reads:    []Read{{Proc: 0, Keys: []int{0, 2}}, {Proc: 0, Keys: []int{0, 2}, After: 1}},
		Faults:   map[Fault]int{Restore: 1},
		Together: 1, Refusable: true, SameInc: true, ReadersVoid: true,
	})
}

// TogetherAccepted: the operator accepts the loss: a new M in the database, far above.
func TogetherAccepted() *Scenario {
	c := Accepted()
	c.Name, c.Together = "together-accepted", 1
	return c
}

// TogetherEtcd: no lock: the transaction compares head's mod revision and M.
func TogetherEtcd() *Scenario {
	return scenario("together-etcd", Scenario{
		Ops:      []WriteOp{w(0, 0), w(1, 0), w(1, 2)},
		Reads:    []Read{{Proc: 1, Keys: []int{0, 2}}},
		Faults:   map[Fault]int{Lost: 1},
		Together: 1, Etcd: true, ReadersVoid: true,
	})
}

// TogetherBlocks: the successor is one that reserves blocks: alone, of an
// earlier version, or a migration.
func TogetherBlocks() *Scenario {
	return scenario("together-blocks", Scenario{
		Ops:      []WriteOp{w(0, 0), w(0, 0), w(1, 2), w(1, 0)},
		Reads:    []Read{{Proc: 1, Keys: []int{0, 2}}},
		Faults:   map[Fault]int{Lost: 1},
		Together: 1, Starts: true, Shared: true, Block: 2,
	})
}

// TogetherEnds: process 2 ends in order and believes it is the last one;
// process 0 lost its claim on M for a moment.
func TogetherEnds() *Scenario {
	return scenario("together-ends", Scenario{
		Ops:      []WriteOp{w(0, 0), w(0, 0), w(1, 2)},
		Reads:    []Read{{Proc: 1, Keys: []int{0, 2}}},
		Together: 1, Ends: true,
	})
}
