package model

// One watch of resource 0 over all its backends, in one process.

// covers: does the watch deliver events of the key?
func (c *Scenario) covers(k int) bool {
	for _, mine := range c.Resources[0] {
		if mine == k {
			return true
		}
	}
	return false
}

func (e *emitter) watch() {
	w := &e.s.Watch
	if !e.c.Watch || e.s.P[e.c.WatchProc].Alive == 0 {
		return
	}
	if w.On == 0 {
		if rd := &e.s.Rd[0]; rd.PC == ReadDone {
			e.do(StartWatch, 0, 0, int(rd.R), func(t *State) { e.start(t, rd.R) })
		}
	}
	e.polls()
	if w.On != 1 {
		return
	}
	e.bounds()
	if rev := e.lowest(); rev != 0 {
		e.do(Emit, 0, 0, int(rev), func(t *State) { e.deliver(t, rev) })
	} else if w.Bound > w.Cur {
		e.do(Progress, 0, 0, int(w.Bound), func(t *State) { e.progress(t) })
	} else if w.Want == 2 && w.Cur >= w.Asked {
		e.do(Progress, 0, 0, int(w.Cur), func(t *State) { e.progress(t) })
	}
	if e.c.Progress && w.Want == 0 {
		e.do(AskProgress, 0, 0, 0, func(t *State) { e.ask(t) })
	}
}

// start: "A start below the floor is 410"; above the ring's tail is legal.
func (e *emitter) start(t *State, at uint8) {
	w := &t.Watch
	w.On, w.Start, w.Cur, w.Last = 1, at, at, at
	for b := range t.DB {
		if e.c.reach(w.Topo, e.c.Resources[0])>>b&1 == 1 && at < t.DB[b].Floor && e.c.has(RuleWatchFloor) {
			w.On = 2
		}
	}
}

// poll: "(tail, head] from events", in one snapshot.
func poll(c *Scenario, t *State, b int) {
	w, db := &t.Watch, &t.DB[b]
	if db.Head <= w.Tail[b] {
		return
	}
	if w.Tail[b] < db.Floor && w.On == 1 && w.Cur < db.Floor && c.has(RuleWatchFloor) {
		w.On = 2 // history is gone: the watch ends with an error
	}
	for _, ev := range db.Ev {
		if ev.Rev > w.Tail[b] && ev.Rev <= db.Head {
			w.Ring[b] |= bit(ev.Rev)
		}
	}
	w.Tail[b] = db.Head
}

// polls: other processes' commits arrive by polling (a notification is a hint).
func (e *emitter) polls() {
	if e.c.Memory {
		return
	}
	for b := range e.s.DB {
		db := &e.s.DB[b]
		if reachable(e.s, e.c.WatchProc, b) && e.usable(e.c.WatchProc, b) && db.Head > e.s.Watch.Tail[b] {
			e.do(Poll, 0, b, 0, func(t *State) {
				poll(e.c, t, b)
				e.c.knows(t, e.c.WatchProc, db.Head)
			})
		}
	}
}

// bounds: "A watch over S emits r when every b in S is complete up to r": up to
// where events may be delivered.
func (e *emitter) bounds() {
	w := &e.s.Watch
	s := e.c.reach(w.Topo, e.c.Resources[0])
	set := func(bound uint8) {
		if bound > w.Bound {
			e.do(WatchBound, 0, 0, int(bound), func(t *State) {
				t.Watch.Bound, t.Watch.Rev = bound, 0
				t.Watch.Alloc = [NumBackends]uint8{}
			})
		}
	}
	if !e.c.has(RuleMerge) {
		for b := range e.s.DB {
			if s>>b&1 == 1 {
				set(w.Tail[b])
			}
		}
		return
	}
	switch {
	case e.c.Memory && !single(s):
		set(min(e.c.complete(e.s, 0), e.c.complete(e.s, 1)))
	case e.c.Memory:
		set(e.c.complete(e.s, first(s)))
	case single(s):
		set(w.Tail[first(s)])
	default:
		e.watchResolve(s, set)
	}
}

// watchResolve: a resolve of its own; complete when the rings are.
func (e *emitter) watchResolve(s uint8, set func(uint8)) {
	w, m := &e.s.Watch, &e.s.M[e.c.meta(e.c.WatchProc)]
	if w.Rev == 0 {
		asked := w.Want == 1
		if m.Open == 1 && (m.Rev > w.Bound || asked) {
			e.do(WatchResolve, 0, 0, int(m.Rev), func(t *State) {
				if e.olderM(t, e.c.WatchProc) {
					t.Watch.On = 2
					return
				}
				e.c.knows(t, e.c.WatchProc, m.Rev)
				t.Watch.Rev, t.Watch.Alloc = m.Rev, m.Alloc
				if asked {
					t.Watch.Want, t.Watch.Asked = 2, m.Rev
				}
			})
		}
		return
	}
	for b := range e.s.DB {
		if s>>b&1 == 1 && w.Tail[b] < w.Alloc[b] {
			return
		}
	}
	if w.Rev > w.Bound {
		set(w.Rev)
		return
	}
	e.do(WatchBound, 0, 0, int(w.Bound), func(t *State) { t.Watch.Rev = 0 })
}

// lowest is the next event to deliver: the smallest one in the rings above what
// was delivered and at or below the bound; 0 = none.
func (e *emitter) lowest() uint8 {
	w := &e.s.Watch
	if !e.c.has(RuleOrder) {
		return e.anyOf(1, e.anyOf(0, 0))
	}
	ring := w.Ring[0] | w.Ring[1]
	for rev := w.Cur + 1; rev <= w.Bound && rev < 64; rev++ {
		if ring&bit(rev) != 0 && e.wanted(rev) {
			return rev
		}
	}
	return 0
}

// anyOf is the first event of one lane that was not delivered, else other.
func (e *emitter) anyOf(b int, other uint8) uint8 {
	w := &e.s.Watch
	for rev := w.Start + 1; rev <= w.Bound && rev < 64; rev++ {
		if w.Ring[b]&bit(rev) != 0 && w.Emit&bit(rev) == 0 && e.wanted(rev) {
			return rev
		}
	}
	return other
}

// wanted: is the event one of the watched resource?
func (e *emitter) wanted(rev uint8) bool {
	for _, f := range e.s.Log {
		if f.Rev == rev {
			return e.c.covers(int(f.Key))
		}
	}
	return false
}

func (e *emitter) deliver(t *State, rev uint8) {
	w := &t.Watch
	if w.Emit&bit(rev) != 0 || rev <= w.Last {
		t.Bad = uint8(LawWatchOrder)
	}
	w.Emit |= bit(rev)
	w.Last = rev
	if e.c.has(RuleOrder) {
		w.Cur = rev
	}
	e.missed(t)
}

// progress: everything up to the bound was delivered.
func (e *emitter) progress(t *State) {
	w := &t.Watch
	w.Cur = max(w.Cur, w.Bound)
	if w.Want == 2 && w.Cur >= w.Asked {
		if w.Cur < w.Least {
			t.Bad = uint8(LawProgress)
		}
		w.Want = 3
	}
	e.missed(t)
}

// missed: an event at or below what was called delivered, and not delivered.
func (e *emitter) missed(t *State) {
	w := &t.Watch
	for _, f := range t.Log {
		if f.Rev > w.Start && f.Rev <= w.Cur && e.c.covers(int(f.Key)) && w.Emit&bit(f.Rev) == 0 {
			t.Bad = uint8(LawWatchLost)
		}
	}
}

// ask: "RequestWatchProgress reads head (or resolves) after the call, and
// delivers at least that". The answer must cover what was handed out by now.
func (e *emitter) ask(t *State) {
	w := &t.Watch
	w.Want, w.Least = 1, t.RV[0]
	s := e.c.reach(w.Topo, e.c.Resources[0])
	switch {
	case !e.c.has(RuleProgress):
		w.Want = 2 // answers with what is at hand
	case e.c.Memory:
		w.Want, w.Asked = 2, t.M[0].Rev
	case single(s):
		w.Want, w.Asked = 2, t.DB[first(s)].Head
	}
}
