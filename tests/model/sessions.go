package model

// Sessions in the databases: they outlive their clients.

// sessions: what the databases do by themselves.
func (e *emitter) sessions() {
	for i := range e.c.Ops {
		o := &e.s.Op[i]
		b := int(o.Backend)
		if o.Sess == SessFlight {
			moved := e.c.has(RuleHeadCompare) && e.s.DB[b].Ver != o.Ver || o.Takes == 1 && !e.c.metaIs(e.s, e.c.Ops[i].Proc, o.First)
			if e.c.Etcd && moved {
				e.do(RollBack, 0, b, i, func(t *State) { refuse(t, i) })
				continue
			}
			e.do(Land, 0, b, i, func(t *State) { land(e.c, t, i) })
		}
		alone := o.Conn == 0 && (o.Sess == SessLocked || o.Sess == SessFlight)
		if alone && e.c.has(RuleTimeouts) {
			e.do(RollBack, 0, b, i, func(t *State) { refuse(t, i) })
		}
	}
}

func land(c *Scenario, t *State, i int) {
	commit(c, t, i)
	o := &t.Op[i]
	if o.Takes == 1 {
		handedOut(c, t, i)
	}
	conn := o.Conn
	endSession(t, i)
	if conn == 1 {
		o.Sess, o.Conn = SessLanded, 1
	}
}

// refuse: the session rolls back; a client that listens hears it.
func refuse(t *State, i int) {
	conn := t.Op[i].Conn
	endSession(t, i)
	if conn == 1 {
		t.Op[i].Sess, t.Op[i].Conn = SessRefused, 1
	}
}

// endSession rolls back and frees the lock.
func endSession(t *State, i int) {
	o := &t.Op[i]
	if t.DB[o.Backend].Lock == uint8(i+1) {
		t.DB[o.Backend].Lock = 0
	}
	for n := range t.M {
		if t.M[n].Lock == uint8(i+1) {
			t.M[n].Lock = 0
		}
	}
	o.Sess, o.Conn, o.Takes = SessNone, 0, 0
}
