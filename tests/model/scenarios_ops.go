package model

// Scenarios of starts, older copies, topology changes and expiry.

// LostMeta: the metadata store is lost while process 0 lives on as a zombie;
// process 1 starts a new epoch, with backend 1 out of reach for a while.
func LostMeta() *Scenario {
	return scenario("lost-meta", Scenario{
		Ops:    []WriteOp{w(0, 2, 3), w(0, 0), w(1, 0)},
		Reads:  []Read{{Proc: 2, Keys: []int{0}}, {Proc: 1, Keys: []int{0, 2}}},
		Faults: map[Fault]int{LoseM: 1, Crash: 1, Away: 1},
		Starts: true, Refusable: true,
	})
}

// OlderCopy: an older copy of backend 0 comes back while processes live.
func OlderCopy() *Scenario {
	return scenario("older-copy", Scenario{
		Ops:       []WriteOp{w(0, 0), w(0, 0)},
		Reads:     []Read{{Proc: 2, Keys: []int{0, 2}}, {Proc: 1, Keys: []int{0, 2}}},
		Faults:    map[Fault]int{Restore: 1},
		Refusable: true, ReadersVoid: true,
	})
}

// OneWitness: a copy that looks like the database before it, and one process,
// alive, that remembers what was acknowledged.
func OneWitness() *Scenario {
	return scenario("one-witness", Scenario{
		Ops:       []WriteOp{w(0, 0), w(0, 0)},
		Reads:     []Read{{Proc: 0, Keys: []int{0, 2}}, {Proc: 0, Keys: []int{0, 2}, After: 1}},
		Faults:    map[Fault]int{Restore: 1},
		Refusable: true, ReadersVoid: true, SameInc: true,
	})
}

// OlderCopyToken: the copy comes back while an outcome is looked for.
func OlderCopyToken() *Scenario {
	return scenario("older-copy-token", Scenario{
		Ops:       []WriteOp{w(0, 0), w(0, 0)},
		Reads:     []Read{{Proc: 0, Keys: []int{0, 2}}},
		Faults:    map[Fault]int{Restore: 1, Lost: 1},
		Refusable: true, ReadersVoid: true,
	})
}

// Accepted: the operator accepts the loss: a new epoch. Old numbers are gone.
func Accepted() *Scenario {
	return scenario("accepted-loss", Scenario{
		Ops:       []WriteOp{w(0, 0), w(0, 0), w(1, 0)},
		Reads:     []Read{{Proc: 0, Keys: []int{0, 2}}, {Proc: 1, Kind: ListAt, Keys: []int{0, 2}, After: 1}},
		Faults:    map[Fault]int{Restore: 1},
		Refusable: true, Starts: true,
		Watch: true, WatchProc: 1, FromList: true,
	})
}

// Foreign: process 1 has a metadata store of its own.
func Foreign() *Scenario {
	return scenario("foreign-meta", Scenario{
		Ops:      []WriteOp{w(0, 0), w(1, 2), w(1, 0)},
		Reads:    []Read{{Proc: 0, Keys: []int{0, 2}}},
		ForeignM: true, ReadersVoid: true,
	})
}

// Successor: a process that was thought dead goes on; its successor starts.
func Successor() *Scenario {
	return scenario("successor", Scenario{
		Ops:    []WriteOp{w(0, 0), w(0, 0), w(1, 2), w(1, 0)},
		Reads:  []Read{{Proc: 1, Keys: []int{0, 2}}},
		Faults: map[Fault]int{Lost: 1},
		Block:  2, Starts: true,
	})
}

// Move: keys 0 and 1 move from backend 0 to backend 1, where key 2 lives.
func Move() *Scenario {
	return scenario("move", Scenario{
		Route:     [2][NumKeys]uint8{{0, 0, 1, 1}, {1, 1, 1, 1}},
		Ops:       []WriteOp{w(0, 0), w(0, 1), w(1, 0)},
		Resources: [][]int{{0, 1}},
		Reads:     []Read{{Proc: 1, Keys: []int{0, 1}}, {Proc: 2, Keys: []int{0, 1}, After: 1}},
		Move:      true,
	})
}

// MoveFaults: the same with lost replies, killed sessions and a crash.
func MoveFaults() *Scenario {
	return scenario("move-faults", Scenario{
		Route:     [2][NumKeys]uint8{{0, 0, 1, 1}, {1, 1, 1, 1}},
		Ops:       []WriteOp{w(0, 0), w(1, 0)},
		Resources: [][]int{{0, 1}},
		Reads:     []Read{{Proc: 1, Keys: []int{0, 1}}},
		Faults:    map[Fault]int{Lost: 1, Crash: 1},
		Move:      true,
	})
}

// MoveSwap: keys 0 and 2 change places: both backends lose and gain.
func MoveSwap() *Scenario {
	return scenario("move-swap", Scenario{
		Route:     [2][NumKeys]uint8{{0, 0, 1, 1}, {1, 0, 0, 1}},
		Ops:       []WriteOp{w(0, 0), w(1, 2), w(1, 0)},
		Resources: [][]int{{0, 2}},
		Reads:     []Read{{Proc: 2, Keys: []int{0, 2}}},
		Move:      true,
	})
}

// MoveSpread: a spread resource comes together in one backend; another resource
// goes on using the losing backend.
func MoveSpread() *Scenario {
	return scenario("move-spread", Scenario{
		Route:     [2][NumKeys]uint8{{0, 0, 1, 0}, {1, 1, 1, 0}},
		Ops:       []WriteOp{w(0, 3), w(1, 2)},
		Resources: [][]int{{0, 1, 2}, {3}},
		Reads:     []Read{{Proc: 2, Keys: []int{2}}, {Proc: 2, Keys: []int{2}, After: 1}},
		Move:      true,
	})
}

// MoveApart: a resource of one backend is spread over two; a writer of another
// resource keeps M.rev above the heads.
func MoveApart() *Scenario {
	return scenario("move-apart", Scenario{
		Route:     [2][NumKeys]uint8{{0, 0, 1, 1}, {0, 1, 1, 1}},
		Ops:       []WriteOp{w(0, 2), w(1, 0)},
		Resources: [][]int{{0, 1}, {2}},
		Reads:     []Read{{Proc: 2, Keys: []int{0}}, {Proc: 2, Keys: []int{0}, After: 1}},
		Move:      true,
	})
}

// MoveWatch: a watch of the resource that moves.
func MoveWatch() *Scenario {
	return scenario("move-watch", Scenario{
		Route:     [2][NumKeys]uint8{{0, 0, 1, 0}, {1, 1, 1, 0}},
		Ops:       []WriteOp{w(0, 0), w(1, 1), w(1, 3)},
		Resources: [][]int{{0, 1}},
		Move:      true, Watch: true, WatchProc: 2,
	})
}

// MoveHistory: a list at exactly an old revision, across the move.
func MoveHistory() *Scenario {
	return scenario("move-history", Scenario{
		Route:     [2][NumKeys]uint8{{0, 0, 1, 1}, {1, 1, 1, 1}},
		Ops:       []WriteOp{w(0, 0), w(0, 0), w(1, 0)},
		Resources: [][]int{{0, 1}},
		Reads:     []Read{{Proc: 1, Kind: ListAt, Keys: []int{0, 1}}},
		Move:      true,
	})
}

// Expiry: an owner renews while two reapers look.
func Expiry() *Scenario {
	return scenario("expiry", Scenario{
		Ops: []WriteOp{{Proc: 0, Keys: []int{0}, TTL: 1}, {Proc: 0, Keys: []int{0}, TTL: 2},
			{Proc: 1, Kind: Reap, Keys: []int{0}}, {Proc: 2, Kind: Reap, Keys: []int{0}}},
		Resources: [][]int{{0}},
		Reads:     []Read{{Proc: 2, Keys: []int{0}}, {Proc: 2, Kind: ListAt, Keys: []int{0}}},
		Faults:    map[Fault]int{Lost: 1},
		Ticks:     2,
	})
}
