package model

// What goes wrong, within the scenario's budget.

func (e *emitter) faults() {
	for p := range e.s.P {
		if e.s.Faults[Crash] > 0 && e.s.P[p].Alive == 1 && e.c.busy(p) {
			e.do(CrashProc, p, 0, 0, func(t *State) { t.Faults[Crash]--; e.crash(t, p) })
		}
	}
	for i := range e.c.Ops {
		e.sessionFaults(i)
	}
	if e.s.Faults[LoseM] > 0 && e.s.M[0].Open == 1 && e.s.M[0].Lock == 0 {
		e.do(LoseMeta, 0, 0, 0, func(t *State) { t.Faults[LoseM]--; t.M[0].Open = 0 })
	}
	if e.s.Faults[Away] > 0 && e.s.DB[1].Down == 0 {
		e.do(GoAway, 0, 1, 0, func(t *State) { t.Faults[Away]--; t.DB[1].Down = 1 })
	}
	if e.s.DB[1].Down == 1 && (e.s.Boot.Step == bootNone || e.s.Boot.Step == bootDone) {
		e.do(Back, 0, 1, 0, func(t *State) { t.DB[1].Down = 0 })
	}
}

func (c *Scenario) busy(p int) bool {
	for _, op := range c.Ops {
		if op.Proc == p {
			return true
		}
	}
	return false
}

// crash: "a database session outlives its client and its COMMIT may land or
// roll back at any later time".
func (e *emitter) crash(t *State, p int) {
	if i := e.c.next(t, p); i >= 0 {
		o := &t.Op[i]
		o.Conn = 0
		if o.Sess == SessLanded || o.Sess == SessRefused {
			o.Sess = SessNone
		}
	}
	pr := &t.P[p]
	*pr = Proc{Epoch: pr.Epoch, Topo: pr.Topo, Block: pr.Block}
}

func (e *emitter) sessionFaults(i int) {
	o, p := &e.s.Op[i], e.c.Ops[i].Proc
	b := int(o.Backend)
	waiting := e.s.P[p].Alive == 1 && e.s.P[p].PC == PCSent && e.c.next(e.s, p) == i && o.Conn == 1
	if e.s.Faults[Lost] > 0 && waiting && o.Sess != SessRefused {
		e.do(LoseReply, p, b, i, func(t *State) {
			t.Faults[Lost]--
			t.Op[i].Conn = 0
			t.P[p].PC = PCUnknown
			if e.c.Etcd {
				t.P[p].PC = PCRetry
			}
			if t.Op[i].Sess == SessLanded {
				t.Op[i].Sess = SessNone
			}
		})
	}
	running := o.Sess == SessLocked || o.Sess == SessFlight
	if e.s.Faults[Kill] > 0 && running && o.Conn == 1 {
		e.do(KillSess, 0, b, i, func(t *State) { t.Faults[Kill]--; refuse(t, i) })
	}
}

// older: a copy of backend 0 is made at some moment and put back later. Its
// sessions end; acknowledged writes above the copy's head are gone.
func (e *emitter) older() {
	s := e.s
	if s.Copied == 0 && s.DB[0].Lock == 0 {
		e.do(Backup, 0, 0, 0, func(t *State) {
			t.Copied, t.Copy = 1, t.DB[0]
			if e.c.together(0) {
				t.CopyM = t.M[0]
			}
		})
	}
	older := s.Copy.Head < s.DB[0].Head || e.c.together(0) && s.CopyM.Rev < s.M[0].Rev
	if s.Copied == 1 && s.Faults[Restore] > 0 && older {
		e.do(RestoreCopy, 0, 0, 0, func(t *State) { e.restore(t) })
	}
	refused := s.Rd[0].PC == ReadRefused
	if s.Copied == 2 && s.Lost == 0 && refused && e.c.Starts {
		e.do(Accept, 0, 0, 0, func(t *State) { e.accept(t) })
	}
}

func (e *emitter) restore(t *State) {
	t.Faults[Restore]--
	t.Copied = 2
	for i := range t.Op {
		o := &t.Op[i]
		if o.Backend == 0 && (o.Sess == SessLocked || o.Sess == SessFlight) {
			refuse(t, i)
		}
	}
	t.forget(func(f Fact) bool {
		kept := f.Backend != 0 || f.Rev <= t.Copy.Head || e.noticed(t, f)
		if !kept && e.c.together(0) {
			t.Used &^= bit(f.Rev) // nobody saw it
		}
		return kept
	})
	if e.c.together(0) {
		t.M[0] = t.CopyM
	}
	inc := t.DB[0].Inc
	t.DB[0] = t.Copy
	t.DB[0].Inc = inc
	if !e.c.SameInc {
		t.DB[0].Inc++
	}
}

// accept: the operator stops the old process, takes the loss, and starts a new
// epoch. What the copy does not hold is no longer true.
func (e *emitter) accept(t *State) {
	t.Lost = 1
	t.M[0].Open = 0
	e.crash(t, 0)
	t.forget(func(f Fact) bool { return f.Backend != 0 || f.Rev <= t.Copy.Head })
	t.Copy = DB{}
}

// noticed: a commit that was neither acknowledged nor shown to anybody may go
// without a trace.
func (e *emitter) noticed(t *State, f Fact) bool {
	if t.Pub[f.Key] >= f.Rev || t.Watch.Emit&bit(f.Rev) != 0 {
		return true
	}
	for r := range t.Rd {
		if t.Rd[r].Got[f.Key] >= f.Rev {
			return true
		}
	}
	for i := range t.Op {
		if t.Op[i].Landed == f.Rev && t.Op[i].Outcome != Acked {
			t.Op[i].Landed = 0
			return false
		}
	}
	return true
}

// forget keeps only some of what happened.
func (t *State) forget(keep func(Fact) bool) {
	kept := 0
	for _, f := range t.Log {
		if f.Rev != 0 && keep(f) {
			t.Log[kept] = f
			kept++
		}
	}
	for ; kept < len(t.Log); kept++ {
		t.Log[kept] = Fact{}
	}
}
