package model

// What happens after COMMIT: unknown outcomes, and telling the others.

// resolve: "Unknown outcome: first fence (a committed void of the lane), then
// read the token in the event row. Present = committed; absent = never will."
func (e *emitter) resolve(p, b, i int) {
	pr, o := &e.s.P[p], &e.s.Op[i]
	if o.Backend != uint8(b) { // a topology reload moved the keys: the old lane counts
		b = int(o.Backend)
	}
	switch pr.PC {
	case PCUnknown, PCVoid:
		if pr.PC == PCUnknown && !e.c.has(RuleFence) {
			e.readToken(p, b, i)
			return
		}
		e.fence(p, b, i)
	case PCToken:
		e.readToken(p, b, i)
	}
}

func (e *emitter) fence(p, b, i int) {
	pr := &e.s.P[p]
	if !canVoid(e.c, e.s, p, b) {
		if reachable(e.s, p, b) && (!owned(e.c, e.s, p, b) || lostTail(e.c, e.s, p, b)) {
			e.do(Fence, p, b, i, func(t *State) { t.P[p].PC = PCStopped })
		}
		return
	}
	e.do(Fence, p, b, i, func(t *State) {
		to := e.c.last(i, pr.First)
		if pr.Here == 1 && e.c.has(RuleVoidHanded) {
			to = 0
		}
		void(e.c, t, b, to)
		if e.c.Faults[Restore] > 0 {
			t.P[p].Seen[b] = max(pr.Seen[b], t.DB[b].Head)
			e.c.knows(t, p, t.DB[b].Head)
		}
		if pr.PC == PCUnknown {
			t.P[p].PC = PCToken
			return
		}
		e.failed(t, p, i)
	})
}

// failed: the numbers are void and fenced.
func (e *emitter) failed(t *State, p, i int) {
	if e.c.Move {
		e.idle(t, p) // tries again with new numbers
		return
	}
	t.Op[i].Outcome = Failed
	if t.Op[i].Landed != 0 {
		t.Bad = uint8(LawUnknown)
	}
	e.idle(t, p)
}

func (e *emitter) readToken(p, b, i int) {
	if !reachable(e.s, p, b) {
		return
	}
	first := e.s.P[p].First
	e.do(ReadToken, p, b, i, func(t *State) {
		// Behind an older copy the fence is gone too: absent proves nothing
		// (RuleTokenTail; found by this model). The outcome stays unknown.
		if e.c.has(RuleTokenTail) && lostTail(e.c, t, p, b) {
			t.P[p].PC = PCStopped
			return
		}
		if hasToken(e.c, &t.DB[b], i, first) {
			t.P[p].PC = PCFeed
			return
		}
		// An event at or below the floor may have been deleted: absent proves
		// nothing, the outcome stays unknown.
		if e.c.has(RuleTokenFloor) && t.DB[b].Floor >= first {
			t.Op[i].Outcome = Unknown
			e.idle(t, p)
			return
		}
		e.failed(t, p, i)
	})
}

// retried: etcd's client sends a transaction again whose reply was lost. Its
// compare fails when it was applied. "A failed compare is a conflict only after
// the token was looked up."
func (e *emitter) retried(t *State, p, b, i int) {
	o := &t.Op[i]
	if t.DB[b].Ver == o.Ver {
		o.Sess, o.Conn, o.Takes = SessFlight, 1, t.P[p].Here
		t.P[p].PC = PCSent
		return
	}
	if e.c.has(RuleTokenRetry) {
		t.P[p].PC = PCUnknown
		return
	}
	o.Outcome = Conflict
	if o.Landed != 0 {
		t.Bad = uint8(LawUnknown)
	}
	e.idle(t, p)
}

// feed: "a ring takes a batch only if ring.tail == head as read under the lane
// lock, otherwise it first reads (tail, head] from events." Ring first, then
// decide: a watch that learns from the sequencer finds the events.
func (e *emitter) feed(p, b, i int) {
	b = int(e.s.Op[i].Backend)
	if !e.c.Watch || !e.c.Memory && e.c.WatchProc != p {
		e.do(Decide, p, b, i, func(t *State) { e.acknowledge(t, p, b, i) })
		return
	}
	if e.c.Memory && !e.c.has(RuleRingFirst) {
		e.do(Decide, p, b, i, func(t *State) {
			e.acknowledge(t, p, b, i)
			t.P[p].PC, t.Op[i].Outcome = PCDecide, NotYet
		})
		return
	}
	e.do(Feed, p, b, i, func(t *State) { e.intoRing(t, p, b, i); t.P[p].PC = PCDecide })
}

func (e *emitter) decide(p, b, i int) {
	b = int(e.s.Op[i].Backend)
	if e.c.Memory && !e.c.has(RuleRingFirst) {
		e.do(Feed, p, b, i, func(t *State) {
			t.P[p].First = t.Op[i].First
			e.intoRing(t, p, b, i)
			e.acknowledge(t, p, b, i)
		})
		return
	}
	e.do(Decide, p, b, i, func(t *State) { e.acknowledge(t, p, b, i) })
}

func (e *emitter) intoRing(t *State, p, b, i int) {
	w, o := &t.Watch, &t.Op[i]
	last := e.c.last(i, o.First)
	if w.Tail[b] >= last {
		return // a poll was faster
	}
	if w.Tail[b] != o.Head && e.c.has(RuleTail) {
		poll(e.c, t, b)
		return
	}
	for rev := o.First; rev <= last; rev++ {
		w.Ring[b] |= bit(rev)
	}
	w.Tail[b] = last
}

// acknowledge: the client is told, and this process remembers what it saw.
func (e *emitter) acknowledge(t *State, p, b, i int) {
	o := &t.Op[i]
	last := e.c.last(i, o.First)
	o.Outcome = Acked
	if o.Landed == 0 && t.Copied != 2 {
		t.Bad = uint8(LawAcked)
	}
	e.c.knows(t, p, last)
	t.P[p].Seen[b] = max(t.P[p].Seen[b], last)
	for r, keys := range e.c.Resources {
		for _, k := range keys {
			for n, mine := range e.c.Ops[i].Keys {
				if k == mine {
					t.RV[r] = max(t.RV[r], o.First+uint8(n))
				}
			}
		}
	}
	e.idle(t, p)
}

// janitor: "Every writing process runs a janitor that voids". It reads alloc
// under the lock; readers and fences use what they read before it.
func (e *emitter) janitor(p int) {
	m := &e.s.M[e.c.meta(p)]
	if !e.c.has(RuleJanitor) || !e.c.busy(p) || e.c.Memory || m.Open == 0 || e.c.Block > 0 {
		return
	}
	for b := range e.s.DB {
		if e.s.DB[b].Head < m.Alloc[b] && canVoid(e.c, e.s, p, b) {
			e.do(Janitor, p, b, 0, func(t *State) { void(e.c, t, b, m.Alloc[b]) })
		}
	}
}
