package model

// Starts: the metadata store lost, an older copy accepted, a process replaced.

// Steps of a start (Job.Step).
const (
	bootNone uint8 = iota
	bootFence
	bootChoose
	bootJump
	bootOpen
	bootDone
)

// jump stands for 2^32: far above what the old history can ever hand out.
const jump = 16

func (e *emitter) epoch() {
	if e.c.Faults[Restore] > 0 {
		e.older()
	}
	if !e.c.Starts {
		return
	}
	if e.c.Block > 0 || e.c.Shared {
		e.normalStart()
		return
	}
	e.newEpoch()
}

// newEpoch: "under every reachable lane in turn write the new (m_id, epoch);
// then start = max(max heads + 2^32, …), head = floor = start everywhere. M
// opens only then."
func (e *emitter) newEpoch() {
	job := &e.s.Boot
	switch job.Step {
	case bootNone:
		if e.s.M[0].Open == 0 {
			e.do(NewMeta, 1, 0, 0, func(t *State) {
				t.Boot.Step = bootFence
				t.M[1] = Meta{MID: 2, Epoch: 1, Topo: 1}
			})
		}
	case bootFence:
		e.fenceLanes()
	case bootChoose:
		e.do(ChooseStart, 1, 0, 0, func(t *State) { e.choose(t) })
	case bootJump:
		e.jumpLanes()
	case bootOpen:
		e.do(OpenMeta, 1, 0, 0, func(t *State) { e.open(t) })
	case bootDone:
		e.lateFence()
	}
}

func (e *emitter) fenceLanes() {
	for b := range e.s.DB {
		db := &e.s.DB[b]
		if e.s.Boot.Fence>>b&1 == 1 {
			continue
		}
		if db.Down == 1 {
			e.do(FenceLane, 1, b, 1, func(t *State) {
				t.Boot.Late |= 1 << b
				e.fenced(t, b)
			})
			continue
		}
		if lockFree(e.c, db) || !e.c.has(RuleFenceAll) {
			e.do(FenceLane, 1, b, 0, func(t *State) {
				if e.c.has(RuleFenceAll) {
					t.DB[b].MID, t.DB[b].Epoch = 2, 1
					t.DB[b].Ver++
				}
				e.fenced(t, b)
			})
		}
	}
}

func (e *emitter) fenced(t *State, b int) {
	t.Boot.Fence |= 1 << b
	if t.Boot.Fence == 1<<NumBackends-1 {
		t.Boot.Step, t.Boot.Fence = bootChoose, 0
	}
}

func (e *emitter) choose(t *State) {
	var top uint8
	for b := range t.DB {
		if t.Boot.Late>>b&1 == 0 {
			top = max(top, t.DB[b].Head)
		}
	}
	t.Boot.Start, t.Boot.Step = top, bootJump
	if e.c.has(RuleJump) {
		t.Boot.Start = top + 1
	}
	if e.c.has(RuleJump) && e.c.has(RuleJumpFar) {
		t.Boot.Start = top + jump
	}
}

func (e *emitter) jumpLanes() {
	for b := range e.s.DB {
		db := &e.s.DB[b]
		if e.s.Boot.Fence>>b&1 == 1 {
			continue
		}
		late := e.s.Boot.Late>>b&1 == 1
		if !late && !lockFree(e.c, db) {
			continue
		}
		e.do(JumpLane, 1, b, int(e.s.Boot.Start), func(t *State) {
			if !late {
				e.jumpLane(t, b)
			}
			t.Boot.Fence |= 1 << b
			if t.Boot.Fence == 1<<NumBackends-1 {
				t.Boot.Step = bootOpen
			}
		})
	}
}

func (e *emitter) jumpLane(t *State, b int) {
	db := &t.DB[b]
	db.MID, db.Epoch = 2, 1
	db.Ver++
	if e.c.has(RuleJump) {
		db.Head, db.Floor = t.Boot.Start, t.Boot.Start
	}
}

func (e *emitter) open(t *State) {
	m := &t.M[1]
	m.Open, m.Rev = 1, t.Boot.Start
	for b := range t.DB {
		m.Inc[b] = t.DB[b].Inc
		if t.Boot.Late>>b&1 == 0 || !e.c.has(RuleLateFence) {
			m.Alloc[b], m.Conf[b] = t.Boot.Start, t.DB[b].Head
		}
		if t.Boot.Late>>b&1 == 1 && !e.c.has(RuleLateFence) {
			m.Alloc[b] = 0 // served as it is
		}
	}
	t.P[1].Alive, t.Boot.Step = 1, bootDone
}

// lateFence: "A backend unreachable now serves nothing until its lane was
// fenced the same way; its head must be below start, else another new epoch."
func (e *emitter) lateFence() {
	for b := range e.s.DB {
		db := &e.s.DB[b]
		if e.s.Boot.Late>>b&1 == 1 && db.Down == 0 && lockFree(e.c, db) && db.Head < e.s.Boot.Start {
			e.do(LateFence, 1, b, 0, func(t *State) {
				e.jumpLane(t, b)
				t.Boot.Late &^= 1 << b
				t.M[1].Alloc[b], t.M[1].Conf[b] = t.Boot.Start, t.DB[b].Head
				t.M[1].Inc[b] = t.DB[b].Inc
			})
		}
	}
}

// normalStart: "enforced by an exclusive lock on M plus epoch + 1 at start. A
// normal start changes only the epoch. After any start treat alloc[b] =
// reserved end for ALL b: void every lane before publishing on it."
func (e *emitter) normalStart() {
	job := &e.s.Boot
	switch job.Step {
	case bootNone:
		if e.c.Shared && !e.c.has(RuleStartRev) && job.Late == 0 {
			e.do(StartRead, 1, 0, int(e.s.M[0].Rev), func(t *State) { t.Boot.Late, t.Boot.Start = 1, t.M[0].Rev })
			return
		}
		if e.s.M[0].Lock != 0 {
			return
		}
		e.do(NewMeta, 1, 0, 0, func(t *State) {
			t.Boot.Step = bootFence
			t.M[0].Epoch++
			t.P[1].Epoch = t.M[0].Epoch
			if t.Boot.Late == 0 {
				t.Boot.Start = t.M[0].Rev
			}
			t.P[1].Block, t.Boot.Late = t.Boot.Start, 0
		})
	case bootFence:
		for b := range e.s.DB {
			if job.Fence>>b&1 == 0 && lockFree(e.c, &e.s.DB[b]) {
				e.do(FenceLane, 1, b, 0, func(t *State) { e.adopt(t, b) })
			}
		}
	case bootOpen:
		e.do(OpenMeta, 1, 0, 0, func(t *State) {
			t.M[0].Rev = max(t.M[0].Rev, t.Boot.Start+uint8(e.c.Block))
			for b := range t.DB {
				if e.c.Shared {
					t.M[0].Alloc[b] = max(t.M[0].Alloc[b], t.Boot.Start)
				} else {
					t.M[0].Alloc[b] = t.Boot.Start
				}
				if !e.c.has(RuleVoidAtStart) {
					t.M[0].Alloc[b] = t.DB[b].Head
				}
			}
			t.P[1].Alive, t.Boot.Step = 1, bootDone
		})
	}
}

func (e *emitter) adopt(t *State, b int) {
	db := &t.DB[b]
	if e.c.has(RuleEpoch) {
		db.Epoch = t.P[1].Epoch
	}
	db.Ver++
	if e.c.has(RuleVoidAtStart) {
		db.Head = max(db.Head, t.Boot.Start)
	}
	t.Boot.Fence |= 1 << b
	if t.Boot.Fence == 1<<NumBackends-1 {
		t.Boot.Step = bootOpen
	}
}
