package model

// Lists: which number they carry, what they wait for, what they contain.

func (e *emitter) reader(r int) {
	rd, spec := &e.s.Rd[r], &e.c.Reads[r]
	if e.s.P[spec.Proc].Alive == 0 || spec.After > 0 && e.s.Rd[spec.After-1].PC < ReadDone {
		return
	}
	switch rd.PC {
	case ReadNew:
		e.arrive(r)
	case ReadScan:
		e.scan(r)
	}
}

// topoOf: a process reads the announced topology when it starts a request, or
// goes on with the one it knows until a gen tells it.
func (e *emitter) arrive(r int) {
	spec := &e.c.Reads[r]
	known := max(e.s.Rd[r].Topo, 1)
	if announced := e.s.M[e.c.meta(spec.Proc)].Topo; known < announced {
		e.do(ReloadRead, r, 0, 0, func(t *State) { t.Rd[r].Topo = announced })
	}
	mine := e.c.reach(known, spec.Keys)
	switch {
	case e.c.Memory:
		e.arriveMemory(r, mine)
	case spec.Kind == ListAt:
		if e.s.RV[spec.Resource] > 0 {
			e.do(Resolve, r, 0, 0, func(t *State) {
				e.ghosts(t, r, known)
				t.Rd[r].PC, t.Rd[r].Rev, t.Rd[r].R = ReadScan, t.Rd[r].Asked, t.Rd[r].Asked
			})
		}
	case single(mine) && (e.numberedByHead(r, known, first(mine)) || !e.c.has(RuleOneNumber)):
		e.readOne(r, known, first(mine))
	default:
		e.resolveRead(r, known)
	}
}

// numberedByHead: "if all keys that the resource can have live in b, head[b] of
// the snapshot". While a topology changes, that is decided by the version that
// the lane is of, not by the one the process knows: otherwise two processes
// number one resource in two ways (RuleLaneNumber; found by this model).
func (e *emitter) numberedByHead(r int, known uint8, b int) bool {
	if e.c.has(RuleLaneNumber) && known > 1 && e.s.DB[b].Gen != e.c.gen(known, b) {
		known--
	}
	return single(e.c.reach(known, e.c.Resources[e.c.Reads[r].Resource]))
}

func single(s uint8) bool { return s&(s-1) == 0 }

func first(s uint8) int {
	if s&1 == 1 {
		return 0
	}
	return 1
}

// ghosts remembers what the read must be as new as.
func (e *emitter) ghosts(t *State, r int, topo uint8) {
	rd, spec := &t.Rd[r], &e.c.Reads[r]
	rd.Topo = topo
	if rd.Arrive == 1 {
		return
	}
	rd.Arrive = 1
	for i := range t.Op {
		if t.Op[i].Outcome == Acked {
			rd.Acked |= 1 << i
		}
	}
	rd.MinRV = t.RV[spec.Resource]
	rd.Asked = rd.MinRV
	if spec.Kind == ListMin {
		for _, rv := range t.RV {
			rd.Asked = max(rd.Asked, rv)
		}
	}
}

// resolveRead: "read (rev, alloc[S]) atomically on M's primary, after the
// caller arrived". Arriving and reading is one step: the latest arrival asks most.
func (e *emitter) resolveRead(r int, known uint8) {
	spec := &e.c.Reads[r]
	m := &e.s.M[e.c.meta(spec.Proc)]
	if m.Open == 0 {
		return
	}
	e.do(Resolve, r, 0, 0, func(t *State) {
		e.ghosts(t, r, known)
		rd := &t.Rd[r]
		if e.olderM(t, spec.Proc) {
			rd.PC = ReadRefused
			return
		}
		e.c.knows(t, spec.Proc, m.Rev)
		rev := m.Rev
		if e.c.Block > 0 { // the sequencer is the process, M has what is reserved
			rev = t.P[spec.Proc].Block
		}
		rd.PC, rd.Rev, rd.R, rd.Alloc, rd.Done = ReadScan, rev, rev, m.Alloc, 0
	})
	other := &e.s.Rd[1-r]
	if !e.c.has(RuleFresh) && other.PC == ReadScan {
		e.do(JoinResolve, r, 0, 0, func(t *State) {
			e.ghosts(t, r, known)
			rd := &t.Rd[r]
			rd.PC, rd.Rev, rd.R, rd.Alloc, rd.Done = ReadScan, other.Rev, other.R, other.Alloc, 0
		})
	}
}

// usable: may a read of process p trust backend b's snapshot at all?
func (e *emitter) usable(p, b int) bool {
	return owned(e.c, e.s, p, b) && !lostTail(e.c, e.s, p, b)
}

// readOne: "if all keys that the resource can have live in b, head[b] of the
// snapshot". One snapshot is one step.
func (e *emitter) readOne(r int, known uint8, b int) {
	spec, db := &e.c.Reads[r], &e.s.DB[b]
	if !reachable(e.s, spec.Proc, b) || e.waitsForGen(r, known, b) {
		return
	}
	e.do(ReadOne, r, b, 0, func(t *State) {
		e.ghosts(t, r, known)
		rd := &t.Rd[r]
		switch {
		case !e.usable(spec.Proc, b):
			rd.PC = ReadRefused
			return
		case e.genMoved(r, known, b):
			e.reload(t, r)
			return
		}
		rd.R = db.Head
		if db.Head < db.Floor { // a watch from here is 410, and the next list says the same
			t.Bad = uint8(LawGone)
		}
		if spec.Kind == ListMin && rd.Asked > db.Head {
			e.minimum(t, r, b)
			return
		}
		e.readKeys(t, r, b, db.Head)
		e.answer(t, r)
	})
}

// minimum: "A requested RV above head[b] is compared with M.rev; FUTURE only
// above that, otherwise resolve and answer at max(head[b], RV)." Answered at a
// number above head, the head must follow, or the next answer is lower.
func (e *emitter) minimum(t *State, r, b int) {
	rd, spec := &t.Rd[r], &e.c.Reads[r]
	m := &t.M[e.c.meta(spec.Proc)]
	if e.olderM(t, spec.Proc) {
		rd.PC = ReadRefused
		return
	}
	if !e.c.has(RuleOneNumber) || rd.Asked > m.Rev {
		t.Bad = uint8(LawFuture)
		return
	}
	rd.PC, rd.Rev, rd.R, rd.Alloc, rd.Done = ReadScan, rd.Asked, rd.Asked, m.Alloc, 0
	if e.c.has(RuleMinRaises) {
		rd.Alloc[b] = max(rd.Alloc[b], rd.Asked)
	}
}

// genMoved: "Every read and write checks gen in its own snapshot; a mismatch reloads."
func (e *emitter) genMoved(r int, known uint8, b int) bool {
	return e.c.has(RuleGenRead) && !e.c.genOK(known, b, e.c.Reads[r].Keys, e.s.DB[b].Gen)
}

// waitsForGen: the newest topology is known and the backend is not open yet.
func (e *emitter) waitsForGen(r int, known uint8, b int) bool {
	m := &e.s.M[e.c.meta(e.c.Reads[r].Proc)]
	return e.genMoved(r, known, b) && known == m.Topo
}

func (e *emitter) reload(t *State, r int) {
	rd := &t.Rd[r]
	rd.PC, rd.Done, rd.Got = ReadNew, 0, [NumKeys]uint8{}
	rd.Topo = t.M[e.c.meta(e.c.Reads[r].Proc)].Topo
}
