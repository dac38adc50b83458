package model

// Compaction and expiry.

// history: "Compaction raises and commits floor first, deletes rev <= floor
// after. Law: floor[b] <= head[b] in every committed state (min(target, head))."
func (e *emitter) history() {
	m := &e.s.M[0]
	if e.s.Comp > 0 && m.Open == 1 {
		for target := e.s.Target + 1; target <= m.Rev; target++ {
			e.do(SetTarget, 0, 0, int(target), func(t *State) { t.Target = target; t.Comp-- })
		}
	}
	if e.s.Target > 0 {
		for b := range e.s.DB {
			e.floor(b)
		}
	}
	if int(e.s.Clock) < e.c.Ticks {
		e.do(Tick, 0, 0, 0, func(t *State) { t.Clock++ })
	}
}

func (e *emitter) floor(b int) {
	db := &e.s.DB[b]
	to := e.s.Target
	if e.c.has(RuleFloorHead) {
		to = min(to, db.Head)
	}
	if to > db.Floor && lockFree(e.c, db) {
		e.do(RaiseFloor, 0, b, int(to), func(t *State) { t.DB[b].Floor = to; t.DB[b].Ver++ })
	}
	upto := db.Floor
	if !e.c.has(RuleFloorFirst) {
		upto = to
	}
	for _, ev := range db.Ev {
		if ev.Rev != 0 && ev.Rev <= upto {
			e.do(DeleteEvents, 0, b, int(upto), func(t *State) { deleteEvents(&t.DB[b], upto) })
			return
		}
	}
}

func deleteEvents(db *DB, upto uint8) {
	kept := 0
	for _, ev := range db.Ev {
		if ev.Rev > upto {
			db.Ev[kept] = ev
			kept++
		}
	}
	for ; kept < len(db.Ev); kept++ {
		db.Ev[kept] = Event{}
	}
}

// look: a reaper reads what expired, later its batch "expects (revision,
// expiry)". Two reapers are harmless. Expired but not reaped is visible.
func (e *emitter) look(p, b, i int) {
	obj := e.s.DB[b].Obj[e.c.Ops[i].Keys[0]]
	if obj.Expiry != 0 && obj.Expiry <= e.s.Clock {
		e.do(LookExpired, p, b, i, func(t *State) {
			t.P[p].Mod, t.P[p].Exp = obj.Mod+1, obj.Expiry
		})
	}
}
