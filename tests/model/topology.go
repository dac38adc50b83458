package model

// A topology change that moves several keys.

// Steps of a move (Job.Step), in the order of the protocol.
const (
	moveAnnounce uint8 = iota
	moveFence
	moveCopy
	moveRead
	moveRaise
	moveEnd
	moveOpen
	moveDone
)

// move: "announce v+1 in M -> in the lane of every backend that LOSES keys set
// gen=v+1 -> copy (mod revisions kept) -> in every lane of the moved resources
// raise head to M.rev and their floor with it, end their watches -> set gen=v+1
// on the backends that GAIN."
func (e *emitter) move() {
	if !e.c.Move {
		return
	}
	job := &e.s.Move
	switch job.Step {
	case moveAnnounce:
		e.do(Announce, 0, 0, 0, func(t *State) {
			t.M[0].Topo, t.Move.Step = 2, moveFence
			if !e.c.has(RuleFenceCopy) {
				t.Move.Step = moveCopy
			}
		})
	case moveFence:
		e.loser()
	case moveCopy:
		e.copyKeys()
	case moveRead:
		e.do(ReadRaise, 0, 0, int(e.s.M[0].Rev), func(t *State) {
			t.Move.Start, t.Move.Step, t.Move.Fence = t.M[0].Rev, moveRaise, 0
			if !e.c.has(RuleRaise) {
				t.Move.Step = moveEnd
			}
		})
	case moveRaise:
		e.raise()
	case moveEnd:
		e.do(EndWatches, 0, 0, 0, func(t *State) {
			t.Move.Step = moveOpen
			if e.c.has(RuleEndWatches) && t.Watch.On == 1 {
				t.Watch.On = 2
			}
		})
	case moveOpen:
		e.gainer()
	}
	e.reloads()
}

func (e *emitter) loser() {
	if db := &e.s.DB[0]; lockFree(e.c, db) {
		e.do(FenceLoser, 0, 0, 0, func(t *State) {
			t.DB[0].Gen = 2
			t.DB[0].Ver++
			t.Move.Step = moveCopy
			if !e.c.has(RuleFenceCopy) {
				t.Move.Step = moveRead
			}
		})
	}
}

// copyKeys: one key a step, in the gaining lane; revisions are kept.
func (e *emitter) copyKeys() {
	for k := 0; k < NumKeys; k++ {
		if e.c.Route[0][k] == e.c.Route[1][k] || e.s.Move.Fence>>k&1 == 1 {
			continue
		}
		if to := int(e.c.Route[1][k]); lockFree(e.c, &e.s.DB[to]) {
			e.do(CopyKey, k, to, 0, func(t *State) {
				t.DB[to].Obj[k] = t.DB[e.c.Route[0][k]].Obj[k]
				t.DB[to].Ver++
				t.Move.Fence |= 1 << k
				e.copied(t)
			})
			return
		}
		return
	}
}

func (e *emitter) copied(t *State) {
	for k := 0; k < NumKeys; k++ {
		if e.c.Route[0][k] != e.c.Route[1][k] && t.Move.Fence>>k&1 == 0 {
			return
		}
	}
	t.Move.Step = moveRead
	if !e.c.has(RuleFenceCopy) {
		t.Move.Step = moveFence
	}
}

func (e *emitter) raise() {
	for b := range e.s.DB {
		if e.s.Move.Fence>>b&1 == 1 || !lockFree(e.c, &e.s.DB[b]) {
			continue
		}
		e.do(RaiseLane, 0, b, int(e.s.Move.Start), func(t *State) {
			e.raiseLane(t, b, t.Move.Start)
			t.Move.Fence |= 1 << b
			if t.Move.Fence == 1<<NumBackends-1 {
				t.Move.Step = moveEnd
			}
		})
	}
}

func (e *emitter) raiseLane(t *State, b int, to uint8) {
	db := &t.DB[b]
	db.Head = max(db.Head, to)
	db.Ver++
	if e.c.has(RuleRaiseFloor) {
		db.Floor = max(db.Floor, min(to, db.Head))
	}
}

// gainer opens the gaining backend. Between the raise and here, whoever knows
// only the old topology may still hand out numbers above the raise: so M.rev is
// read again under this lock (RuleRaiseLocked; found by this model).
func (e *emitter) gainer() {
	if db := &e.s.DB[1]; lockFree(e.c, db) {
		e.do(OpenGainer, 0, 1, 0, func(t *State) {
			if e.c.has(RuleRaiseLocked) && e.c.has(RuleRaise) {
				e.raiseLane(t, 1, t.M[0].Rev)
			}
			t.DB[1].Gen = 2
			t.DB[1].Ver++
			t.Move.Step = moveDone
		})
	}
}

// reloads: a writer that waits with nothing in hand may read the new topology.
func (e *emitter) reloads() {
	for p := range e.s.P {
		pr := &e.s.P[p]
		if pr.Alive == 1 && pr.PC == PCIdle && pr.First == 0 && pr.Topo < e.s.M[0].Topo &&
			e.c.next(e.s, p) >= 0 {
			e.do(Reload, p, 0, 0, func(t *State) { t.P[p].Topo = t.M[0].Topo })
		}
	}
}
