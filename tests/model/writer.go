package model

// The way of a batch: "lock (own statement) -> check all expected revisions ->
// take n = number of survivors from M -> objects, events, token -> guard ->
// COMMIT -> acknowledge."

// last number of operation i when the first is given.
func (c *Scenario) last(i int, first uint8) uint8 { return first + uint8(len(c.Ops[i].Keys)) - 1 }

func (e *emitter) writer(p int) {
	i := e.c.next(e.s, p)
	if i < 0 {
		return
	}
	pr, script := &e.s.P[p], &e.c.Ops[i]
	b := e.c.backendOf(pr.Topo, script.Keys[0])
	switch pr.PC {
	case PCIdle:
		e.begin(p, b, i)
	case PCAsked, PCLocked:
		e.lockOrCheck(p, b, i)
	case PCChecked:
		if pr.First == 0 {
			e.numbers(p, b, i)
		}
	case PCSend:
		e.send(p, b, i)
	case PCSent:
		e.reply(p, b, i)
	case PCVoid, PCUnknown, PCToken:
		e.resolve(p, b, i)
	case PCRetry:
		e.do(Retry, p, b, i, func(t *State) { t.P[p].PC = PCUnknown; e.retried(t, p, b, i) })
	case PCFeed:
		e.feed(p, b, i)
	case PCDecide:
		e.decide(p, b, i)
	}
}

// begin: a process whose topology is old reloads it; a reaper looks first.
func (e *emitter) begin(p, b, i int) {
	pr, script, db := &e.s.P[p], &e.c.Ops[i], &e.s.DB[b]
	if script.Kind == Reap && pr.Mod == 0 {
		e.look(p, b, i)
		return
	}
	early := e.c.EarlyTake || !e.c.has(RuleCheckFirst)
	if early && pr.First == 0 && !e.c.Etcd {
		e.take(p, b, i, PCIdle)
		return
	}
	if e.c.Etcd && !e.c.has(RuleHeadFirst) && pr.First == 0 {
		e.take(p, b, i, PCIdle)
		return
	}
	if e.c.takesHere(p, b) && !e.c.has(RuleRevLocked) && pr.First == 0 && pr.Apart == 0 {
		e.readRev(p, b, i, PCIdle)
		return
	}
	if !e.c.has(RuleTwoStatements) {
		snap := db.Obj[script.Keys[0]].Mod
		e.do(Ask, p, b, i, func(t *State) { t.P[p].PC, t.P[p].Snap = PCAsked, snap })
		return
	}
	e.lock(p, b, i)
}

// lock: "lock (own statement; READ COMMITTED on PostgreSQL, no snapshot before
// the lock on InnoDB)"; etcd: "read head's (mod revision, value) BEFORE the take".
func (e *emitter) lock(p, b, i int) {
	db := &e.s.DB[b]
	if !reachable(e.s, p, b) || !lockFree(e.c, db) || e.notOpen(p, b, i) {
		return
	}
	act := LockLane
	if e.c.Etcd {
		act = ReadHead
	}
	e.do(act, p, b, i, func(t *State) {
		t.P[p].PC = PCLocked
		o := &t.Op[i]
		o.Sess, o.Conn, o.Backend = SessLocked, 1, uint8(b)
		o.Head, o.Ver = db.Head, db.Ver
		if !e.c.Etcd {
			t.DB[b].Lock = uint8(i + 1)
		}
	})
}

// notOpen: the newest topology is known, and the backend does not serve the key
// yet: the process waits.
func (e *emitter) notOpen(p, b, i int) bool {
	known := e.s.P[p].Topo
	return e.c.has(RuleGenWrite) && known == e.s.M[e.c.meta(p)].Topo &&
		!e.c.genOK(known, b, e.c.Ops[i].Keys, e.s.DB[b].Gen)
}

func (e *emitter) lockOrCheck(p, b, i int) {
	if e.s.P[p].PC == PCAsked {
		e.lock(p, b, i)
		return
	}
	if e.s.Op[i].Sess == SessRefused {
		e.do(Reply, p, b, i, func(t *State) { e.afterFailure(t, p, i) })
		return
	}
	e.do(CheckOp, p, b, i, func(t *State) { e.check(t, p, b, i) })
}

// check: the lane row must be ours and not have lost its tail, then "check all
// expected revisions"; who does not survive takes nothing.
func (e *emitter) check(t *State, p, b, i int) {
	pr, script, db := &t.P[p], &e.c.Ops[i], &t.DB[b]
	if !owned(e.c, t, p, b) || lostTail(e.c, t, p, b) {
		endSession(t, i)
		pr.PC = PCStopped
		return
	}
	if e.c.has(RuleGenWrite) && !e.c.genOK(pr.Topo, b, script.Keys, db.Gen) {
		endSession(t, i)
		e.afterFailure(t, p, i)
		return
	}
	mod := db.Obj[script.Keys[0]].Mod
	if !e.c.has(RuleTwoStatements) {
		mod = pr.Snap
	}
	expected := true
	switch {
	case script.Kind == Create:
		expected = mod == 0
	case script.Kind == Delete:
		expected = mod != 0
	case script.Kind == Reap && e.c.has(RuleReapExact):
		expected = mod == pr.Mod-1 && db.Obj[script.Keys[0]].Expiry == pr.Exp
	}
	if pr.Here == 1 && e.wentBack(t, p, b, i) {
		return
	}
	if expected {
		pr.PC = PCChecked
		if pr.First != 0 {
			pr.PC = PCSend
		}
		return
	}
	endSession(t, i)
	t.Op[i].Outcome = Conflict
	e.idle(t, p)
}

// idle: done with the operation. Numbers that an early take burnt are void; the
// janitor raises the head over them.
func (e *emitter) idle(t *State, p int) {
	pr := &t.P[p]
	pr.PC, pr.First, pr.Mod, pr.Exp, pr.Snap = PCIdle, 0, 0, 0, 0
	pr.Here, pr.Apart = 0, 0
}

// send: objects, events and token, then the guard; when it passes, COMMIT is on
// its way and nobody can call it back.
func (e *emitter) send(p, b, i int) {
	if e.s.Op[i].Sess == SessRefused {
		e.do(Reply, p, b, i, func(t *State) { e.afterFailure(t, p, i) })
		return
	}
	here := e.s.P[p].Here == 1
	if here && e.s.M[e.c.row(e.s, p)].Lock != 0 {
		return
	}
	e.do(SendCommit, p, b, i, func(t *State) {
		o := &t.Op[i]
		o.First = t.P[p].First
		if here && !e.handOut(t, p, i) {
			return
		}
		if !guard(e.c, t, p, b, i, o.First) {
			endSession(t, i)
			e.afterFailure(t, p, i)
			return
		}
		o.Sess = SessFlight
		t.P[p].PC = PCSent
	})
}

// reply: the client hears how COMMIT ended.
func (e *emitter) reply(p, b, i int) {
	switch e.s.Op[i].Sess {
	case SessLanded:
		e.do(Reply, p, b, i, func(t *State) { t.Op[i].Sess = SessNone; t.P[p].PC = PCFeed })
	case SessRefused:
		e.do(Reply, p, b, i, func(t *State) { t.Op[i].Sess = SessNone; e.afterFailure(t, p, i) })
	}
}

// afterFailure: known not committed. "A take belongs to one transaction: after
// any failure its numbers are void, never reused; who took and did not commit
// voids at once". Nothing taken and an older topology: reload and try again.
func (e *emitter) afterFailure(t *State, p, i int) {
	pr := &t.P[p]
	t.Op[i].Sess = SessNone
	if pr.First != 0 && pr.Here == 0 {
		pr.PC = PCVoid
		return
	}
	pr.First, pr.Here = 0, 0 // nothing was handed out
	if e.c.Move {
		pr.Topo = t.M[e.c.meta(p)].Topo
		pr.PC = PCIdle
		return
	}
	t.Op[i].Outcome = Failed
	e.idle(t, p)
}
