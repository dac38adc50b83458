package model

// The sequencer in memory: what the engine of one process does
// (libstorage/src/engine/reads.cc, revision/sequencer.cc).

// complete: "complete[b] = rev when b has no batch in flight, else first of
// that batch - 1".
func (c *Scenario) complete(s *State, b int) uint8 {
	rev := s.M[0].Rev
	if !c.has(RuleComplete) {
		return rev // plain rev: a batch may be in flight
	}
	for p := range s.P {
		i := c.next(s, p)
		if i < 0 || s.P[p].First == 0 {
			continue
		}
		if c.backendOf(1, c.Ops[i].Keys[0]) == b && s.P[p].First-1 < rev {
			rev = s.P[p].First - 1
		}
	}
	return rev
}

// arriveMemory: a list in one backend reads complete[b] before its snapshot; a
// list over several waits until all are complete up to rev.
func (e *emitter) arriveMemory(r int, mine uint8) {
	spec := &e.c.Reads[r]
	e.do(Resolve, r, 0, 0, func(t *State) {
		e.ghosts(t, r, 1)
		rd := &t.Rd[r]
		rd.PC, rd.Rev = ReadScan, t.M[0].Rev
		if single(mine) {
			rd.Rev = e.c.complete(t, first(mine))
		}
		rd.R = rd.Rev
		if spec.Kind == Current && single(mine) {
			// CurrentRevision: max(complete, shown). What lists showed is
			// never above what is committed.
			rd.R = max(rd.R, t.M[0].Conf[first(mine)])
			e.number(t, r)
		}
	})
}

// number judges an answer without contents.
func (e *emitter) number(t *State, r int) {
	rd, spec := &t.Rd[r], &e.c.Reads[r]
	rd.PC = ReadDone
	if rd.R < rd.MinRV {
		t.Bad = uint8(LawBackwards)
	}
	t.RV[spec.Resource] = max(t.RV[spec.Resource], rd.R)
}

func (e *emitter) scanMemory(r int) {
	rd, spec := &e.s.Rd[r], &e.c.Reads[r]
	mine := e.c.reach(1, spec.Keys)
	if single(mine) {
		e.scanOne(r, first(mine))
		return
	}
	for b := range e.s.DB {
		done := rd.Done>>b&1 == 1
		if done || mine>>b&1 == 0 {
			continue
		}
		if e.c.has(RuleWaitAll) && (e.c.complete(e.s, 0) < rd.Rev || e.c.complete(e.s, 1) < rd.Rev) {
			continue
		}
		e.do(Snapshot, r, b, 0, func(t *State) {
			if spec.Kind == Current {
				e.number(t, r)
				return
			}
			e.snapshot(t, r, b)
		})
	}
}

// scanOne: "max(head[b] in the snapshot, complete[b] read before it)". The
// number above complete is shown: the next current revision is not below it.
func (e *emitter) scanOne(r, b int) {
	e.do(Snapshot, r, b, 0, func(t *State) {
		rd := &t.Rd[r]
		if !e.c.has(RuleCompleteFirst) {
			// The snapshot is taken now, complete[b] is read later.
			if rd.Done == 0 {
				e.readKeys(t, r, b, 255)
				rd.Done, rd.Alloc[b] = 1, t.DB[b].Head
				return
			}
			rd.R = max(rd.Alloc[b], e.c.complete(t, b))
			t.M[0].Conf[b] = max(t.M[0].Conf[b], rd.Alloc[b])
			e.answer(t, r)
			return
		}
		complete := rd.Rev
		rd.R = max(t.DB[b].Head, complete)
		if !e.c.has(RuleHeadToo) {
			rd.R = complete
		}
		if e.c.has(RuleShown) {
			t.M[0].Conf[b] = max(t.M[0].Conf[b], t.DB[b].Head)
		}
		e.readKeys(t, r, b, 255)
		e.answer(t, r)
	})
}

// feedVoid: a committed void moves the ring of its lane too.
func feedVoid(c *Scenario, t *State, b int) {
	if c.has(RuleTail) {
		poll(c, t, b)
		return
	}
	t.Watch.Tail[b] = max(t.Watch.Tail[b], t.DB[b].Head)
}
