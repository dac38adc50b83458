package model

// Numbers that are taken from the metadata store by a transaction of their own.

// take: "one atomic durable statement: rev += n; alloc[b] = rev; confirmed[b] = max(...)".
func (e *emitter) take(p, b, i int, then uint8) {
	n := uint8(len(e.c.Ops[i].Keys))
	m := &e.s.M[e.c.meta(p)]
	block := e.c.Block > 0 && (p == 1 || !e.c.Shared)
	if !block && (m.Open == 0 || m.Epoch != e.s.P[p].Epoch) {
		// M is gone: nobody may wait for it with the lane locked.
		e.do(Take, p, b, 0, func(t *State) { endSession(t, i); t.P[p].PC = PCStopped })
		return
	}
	if block && int(e.s.P[p].Block)+int(n) > e.blockEnd(p) {
		return
	}
	if m.Lock != 0 { // waits for the row, as for any other take
		return
	}
	first := m.Rev + 1
	if block {
		first = e.s.P[p].Block + 1
	}
	e.do(Take, p, b, int(first), func(t *State) {
		tm, pr := &t.M[e.c.meta(p)], &t.P[p]
		pr.PC, pr.First = then, first
		if block {
			pr.Block += n
			if p == 1 {
				tm.Alloc[b] = pr.Block
			}
			return
		}
		tm.Rev += n
		tm.Alloc[b] = tm.Rev
		tm.Conf[b] = max(tm.Conf[b], pr.Seen[b])
		if e.c.has(RuleWentBackTake) && first <= pr.Known { // these numbers are lost, and so is the store
			endSession(t, i)
			pr.PC = PCStopped
			return
		}
		e.c.knows(t, p, tm.Rev)
	})
}

// blockEnd: the first process has the first block, its successor the second.
func (e *emitter) blockEnd(p int) int {
	if e.c.Shared {
		return int(e.s.Boot.Start) + e.c.Block
	}
	return e.c.Block * (1 + p)
}
