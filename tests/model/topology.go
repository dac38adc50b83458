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
		e.losers()
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
		all := func(int) bool { return true }
		e.eachLane(RaiseLane, all, func(t *State, b int) { e.raiseLane(t, b, t.Move.Start) }, moveEnd)
	case moveEnd:
		e.do(EndWatches, 0, 0, 0, func(t *State) {
			t.Move.Step = moveOpen
			if e.c.has(RuleEndWatches) && t.Watch.On == 1 {
				t.Watch.On = 2
			}
		})
	case moveOpen:
		e.gainers()
	}
	e.reloads()
}

// closed is the generation of a backend that both loses and gains keys: the old
// topology is over there, the new one not yet open (RuleClosed; found by this model).
const closed = 3

// moves tells whether backend b loses and gains keys.
func (c *Scenario) moves(b int) (loses, gains bool) {
	for k := 0; k < NumKeys; k++ {
		if from, to := c.backendOf(1, k), c.backendOf(2, k); from != to {
			loses, gains = loses || from == b, gains || to == b
		}
	}
	return loses, gains
}

// eachLane offers act for every lane in the set that is not done and free; when
// all are done the move goes on to the next step.
func (e *emitter) eachLane(act Action, set func(b int) bool, do func(t *State, b int), then uint8) {
	left := uint8(0)
	for b := range e.s.DB {
		if set(b) && e.s.Move.Fence>>b&1 == 0 {
			left |= 1 << b
		}
	}
	for b := range e.s.DB {
		if left>>b&1 == 0 || !lockFree(e.c, &e.s.DB[b]) {
			continue
		}
		e.do(act, 0, b, int(e.s.Move.Start), func(t *State) {
			do(t, b)
			t.DB[b].Ver++
			t.Move.Fence |= 1 << b
			if left == 1<<b {
				t.Move.Step, t.Move.Fence = then, 0
			}
		})
	}
}

func (e *emitter) losers() {
	then := moveCopy
	if !e.c.has(RuleFenceCopy) {
		then = moveRead
	}
	set := func(b int) bool { loses, _ := e.c.moves(b); return loses }
	e.eachLane(FenceLoser, set, func(t *State, b int) {
		t.DB[b].Gen = 2
		if _, gains := e.c.moves(b); gains && e.c.has(RuleClosed) {
			t.DB[b].Gen = closed
		}
	}, then)
}

// copyKeys: one key a step, in the gaining lane; revisions are kept.
func (e *emitter) copyKeys() {
	for k := 0; k < NumKeys; k++ {
		from, to := e.c.backendOf(1, k), e.c.backendOf(2, k)
		if from == to || e.s.Move.Fence>>k&1 == 1 {
			continue
		}
		if lockFree(e.c, &e.s.DB[to]) {
			e.do(CopyKey, k, to, 0, func(t *State) {
				t.DB[to].Obj[k] = t.DB[from].Obj[k]
				t.DB[to].Ver++
				t.Move.Fence |= 1 << k
				e.copied(t)
			})
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
	t.Move.Step, t.Move.Fence = moveRead, 0
	if !e.c.has(RuleFenceCopy) {
		t.Move.Step = moveFence
	}
}

func (e *emitter) raiseLane(t *State, b int, to uint8) {
	db := &t.DB[b]
	db.Head = max(db.Head, to)
	if e.c.has(RuleRaiseFloor) {
		db.Floor = max(db.Floor, min(to, db.Head))
	}
}

// gainers opens the gaining backends. Between the raise and here, whoever knows
// only the old topology may still hand out numbers above the raise: so M.rev is
// read again under this lock (RuleRaiseLocked; found by this model).
func (e *emitter) gainers() {
	set := func(b int) bool { _, gains := e.c.moves(b); return gains }
	e.eachLane(OpenGainer, set, func(t *State, b int) {
		if e.c.has(RuleRaiseLocked) && e.c.has(RuleRaise) {
			e.raiseLane(t, b, t.M[0].Rev)
		}
		t.DB[b].Gen = 2
	}, moveDone)
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
