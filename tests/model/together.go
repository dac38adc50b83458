package model

// A backend in the database of its metadata store. A batch of its lane reads
// M.rev behind the lane's lock and, with the objects and before COMMIT, does
// "UPDATE M SET rev = last, alloc[b] = last, confirmed[b] = max(confirmed[b],
// head as locked) WHERE rev = the rev that was read AND m_id and epoch are ours;
// first = read rev + 1. 0 rows = the whole lane transaction rolls back, nothing
// was handed out". M's row is locked from there to COMMIT, by the database.

// together: is backend b in the database of the metadata store?
func (c *Scenario) together(b int) bool { return c.Together == b+1 }

// takesHere: does process p hand its numbers out with its batches there? A
// successor with a block of numbers is one of another version, or alone.
func (c *Scenario) takesHere(p, b int) bool { return c.together(b) && (c.Block == 0 || p == 0) }

// row is the metadata store that a statement of process p finds in that
// database: after a new epoch, the new one.
func (c *Scenario) row(s *State, p int) int {
	if c.Together > 0 && s.M[1].Open == 1 {
		return 1
	}
	return c.meta(p)
}

// numbers: in the batch's own transaction; "tried again, for a while with an
// ordinary take", when somebody else was faster.
func (e *emitter) numbers(p, b, i int) {
	if !e.c.takesHere(p, b) {
		e.take(p, b, i, PCSend)
		return
	}
	if e.s.P[p].Apart == 1 || e.c.Mixed {
		e.take(p, b, i, PCSend)
	}
	e.readRev(p, b, i, PCSend)
}

// readRev: "the lane transaction of b reads M.rev (behind the lane's lock, own
// statement)"; without RuleRevLocked before it.
func (e *emitter) readRev(p, b, i int, then uint8) {
	m := &e.s.M[e.c.row(e.s, p)]
	e.do(ReadRev, p, b, int(m.Rev+1), func(t *State) {
		pr := &t.P[p]
		if m.Open == 0 || !e.c.ownMeta(t, p) {
			endSession(t, i)
			pr.PC = PCStopped
			return
		}
		pr.First, pr.Here = m.Rev+1, 1
		if then == PCSend && e.wentBack(t, p, b, i) {
			return
		}
		pr.PC = then
	})
}

// wentBack: "when the M.rev that is read is below a number that this process
// knows to have been handed out, or below the lane's head, the writer refuses".
func (e *emitter) wentBack(t *State, p, b, i int) bool {
	pr := &t.P[p]
	rev := pr.First - 1
	known := e.c.has(RuleWentBack) && e.c.has(RuleKnownFirst) && rev < pr.Known
	if head := e.c.has(RuleWentBackHead) && rev < t.Op[i].Head; !known && !head {
		return false
	}
	e.stop(t, p, i)
	return true
}

// stop: the process refuses to go on. It must have been right.
func (e *emitter) stop(t *State, p, i int) {
	endSession(t, i)
	t.P[p].PC = PCStopped
	if t.Copied != 2 {
		t.Bad = uint8(LawAlarm)
	}
}

// ownMeta: is the row of M the one of this process and its epoch?
func (c *Scenario) ownMeta(s *State, p int) bool {
	m := &s.M[c.row(s, p)]
	return !c.has(RuleMetaOwner) || m.MID == c.mid(p) && m.Epoch == s.P[p].Epoch
}

// metaIs: does the UPDATE of M find its row?
func (c *Scenario) metaIs(s *State, p int, first uint8) bool {
	m := &s.M[c.row(s, p)]
	return m.Open == 1 && c.ownMeta(s, p) && (m.Rev+1 == first || !c.has(RuleMetaRev))
}

// handOut is the UPDATE of M: it locks the row and is seen with COMMIT. False:
// 0 rows, the transaction is over and the batch tried again.
func (e *emitter) handOut(t *State, p, i int) bool {
	pr := &t.P[p]
	if !e.c.has(RuleKnownFirst) && pr.First <= pr.Known {
		e.stop(t, p, i)
		return false
	}
	if !e.c.Etcd && !e.c.metaIs(t, p, pr.First) {
		endSession(t, i)
		pr.PC, pr.First, pr.Here, pr.Apart = PCIdle, 0, 0, 1
		return false
	}
	t.Op[i].Takes = 1
	if !e.c.Etcd {
		t.M[e.c.row(t, p)].Lock = uint8(i + 1)
	}
	return true
}

// handedOut: COMMIT landed, and M says so at the same moment.
func handedOut(c *Scenario, t *State, i int) {
	o := &t.Op[i]
	m := &t.M[c.row(t, c.Ops[i].Proc)]
	last := c.last(i, o.First)
	m.Rev = last
	if c.has(RuleMetaAlloc) {
		m.Alloc[o.Backend] = last
	}
	m.Conf[o.Backend] = max(m.Conf[o.Backend], o.Head)
}

// knows: a process remembers the highest number that was handed out for certain.
func (c *Scenario) knows(t *State, p int, rev uint8) {
	if c.Together > 0 && (c.Faults[Restore] > 0 || c.Knows) {
		t.P[p].Known = max(t.P[p].Known, rev)
	}
}

// olderM: does M say less than process p knows? Then its lists and watches end.
func (e *emitter) olderM(t *State, p int) bool {
	return e.c.has(RuleWentBackRead) && t.M[e.c.meta(p)].Rev < t.P[p].Known
}

// ends: who believes to be the last one reads M.rev, looks at its lanes, and
// writes M.rev with the clean mark. A server that lost its claim on M may go on
// with its batches: their lane sessions need none.
func (e *emitter) ends() {
	job, m := &e.s.Boot, &e.s.M[0]
	switch {
	case !e.c.Ends || m.Lock != 0:
	case job.Step == bootNone:
		e.do(EndRead, 2, 0, int(m.Rev), func(t *State) { t.Boot.Step, t.Boot.Start = bootFence, m.Rev })
	case job.Step == bootFence:
		e.do(EndMark, 2, 0, int(job.Start), func(t *State) {
			t.Boot.Step = bootDone
			if !e.c.has(RuleEndCompare) {
				t.M[0].Rev = job.Start
			}
		})
	}
}
