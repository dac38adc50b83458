package model

// What a list holds, and how it is judged.

// scan: "b is complete up to rev when head[b] >= alloc[b]. If not: void(b)."
func (e *emitter) scan(r int) {
	rd, spec := &e.s.Rd[r], &e.c.Reads[r]
	if e.c.Memory {
		e.scanMemory(r)
		return
	}
	todo := e.c.reach(rd.Topo, spec.Keys) &^ rd.Done
	for b := range e.s.DB {
		if todo>>b&1 == 0 || !reachable(e.s, spec.Proc, b) || e.waitsForGen(r, rd.Topo, b) {
			continue
		}
		if !e.usable(spec.Proc, b) {
			e.do(Snapshot, r, b, 0, func(t *State) { t.Rd[r].PC = ReadRefused })
			continue
		}
		complete := e.s.DB[b].Head >= rd.Alloc[b] || !e.c.has(RuleWaitAll)
		if !complete && canVoid(e.c, e.s, spec.Proc, b) && (e.c.ReadersVoid || spec.Kind == ListMin) {
			e.do(ReaderVoid, r, b, 0, func(t *State) {
				void(e.c, t, b, rd.Alloc[b])
				if !e.c.has(RuleVoidWrites) { // believes that the lock proved it
					t.Rd[r].Alloc[b] = 0
				}
			})
		}
		if complete {
			e.do(Snapshot, r, b, 0, func(t *State) { e.snapshot(t, r, b) })
		}
	}
}

// snapshot: "one database snapshot holds floor, head, gen, objects and events;
// legal when R >= floor[b] for every b in S."
func (e *emitter) snapshot(t *State, r, b int) {
	rd, db, spec := &t.Rd[r], &t.DB[b], &e.c.Reads[r]
	if e.genMoved(r, rd.Topo, b) {
		e.reload(t, r)
		return
	}
	if rd.R < db.Floor {
		if spec.Kind == ListAt {
			rd.PC = ReadGone
			return
		}
		rd.PC, rd.Done, rd.Got = ReadNew, 0, [NumKeys]uint8{} // reads a newer rev
		return
	}
	e.readKeys(t, r, b, rd.R)
	rd.Done |= 1 << b
	if e.c.reach(rd.Topo, spec.Keys)&^rd.Done == 0 {
		e.answer(t, r)
	}
}

func (e *emitter) readKeys(t *State, r, b int, at uint8) {
	rd, p := &t.Rd[r], &t.P[e.c.Reads[r].Proc]
	// A committed head that was shown is as good as acknowledged (RuleSeenReads;
	// found by this model). Kept only where a copy can come back.
	if e.c.Faults[Restore] > 0 && e.c.has(RuleSeenReads) {
		p.Seen[b] = max(p.Seen[b], t.DB[b].Head)
		e.c.knows(t, e.c.Reads[r].Proc, t.DB[b].Head)
	}
	for _, k := range e.c.Reads[r].Keys {
		if e.c.backendOf(rd.Topo, k) == b {
			rd.Got[k] = valueAt(e.c, t, b, k, at)
		}
	}
}

// answer judges the list: number, age and contents; the worst is what is reported.
func (e *emitter) answer(t *State, r int) {
	rd, spec := &t.Rd[r], &e.c.Reads[r]
	rd.PC = ReadDone
	if rd.R < rd.MinRV && spec.Kind != ListAt {
		t.Bad = uint8(LawBackwards)
	}
	for i := range t.Op {
		late := rd.Acked>>i&1 == 1 && t.Op[i].Landed > rd.R && e.c.shares(i, spec.Keys)
		if late && spec.Kind != ListAt {
			t.Bad = uint8(LawLinear)
		}
	}
	for _, k := range spec.Keys {
		if rd.Got[k] != truth(t, k, rd.R) {
			t.Bad = uint8(LawContents)
		}
		t.Pub[k] = max(t.Pub[k], rd.R)
	}
	if spec.Kind == ListAt {
		return
	}
	t.RV[spec.Resource] = max(t.RV[spec.Resource], rd.R)
}

func (c *Scenario) shares(i int, keys []int) bool {
	for _, k := range c.Ops[i].Keys {
		for _, other := range keys {
			if k == other {
				return true
			}
		}
	}
	return false
}
