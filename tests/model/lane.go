package model

// Lane transactions: lock, guard, commit, void.

// lockFree: may a session take the lane row's lock?
func lockFree(c *Scenario, db *DB) bool { return db.Lock == 0 || c.Etcd }

// reachable: the network between process 1 and a backend may be down, while
// others still reach it.
func reachable(s *State, p, b int) bool { return p != 1 || s.DB[b].Down == 0 }

// owned: is the lane row one that process p may use? ("A lane whose m_id is not
// ours is refused with both names.")
func owned(c *Scenario, s *State, p, b int) bool {
	db := &s.DB[b]
	if !c.has(RuleLateFence) && p == 1 && s.Boot.Late>>b&1 == 1 {
		return true
	}
	return (db.MID == c.mid(p) || !c.has(RuleMID)) &&
		(db.Epoch == s.P[p].Epoch || !c.has(RuleEpoch))
}

// guard is the last statement of a lane transaction: "UPDATE lane SET
// head=:last, ver=ver+1 WHERE ver=:ver_read AND head<:first AND m_id=:m AND
// epoch=:e AND gen=:g; 0 rows = roll back."
func guard(c *Scenario, s *State, p, b, op int, first uint8) bool {
	db := &s.DB[b]
	if c.has(RuleGuardHead) && db.Head >= first && !c.Etcd {
		return false
	}
	if db.Ver != s.Op[op].Ver && !c.Etcd {
		return false
	}
	genOK := !c.has(RuleGenWrite) || c.genOK(s.P[p].Topo, b, c.Ops[op].Keys, db.Gen)
	return owned(c, s, p, b) && genOK
}

// lostTail: "Refused, not raised, when head[b] < confirmed[b], head[b] < what
// this process has seen acknowledged, or the incarnation changed: that is a
// lost tail, not a crash."
func lostTail(c *Scenario, s *State, p, b int) bool {
	db, m := &s.DB[b], &s.M[c.meta(p)]
	return c.has(RuleConfirmed) && db.Head < m.Conf[b] ||
		c.has(RuleSeen) && db.Head < s.P[p].Seen[b] ||
		c.has(RuleIncarnation) && db.Inc != m.Inc[b]
}

// canVoid: may process p void lane b now, by rules and locks?
func canVoid(c *Scenario, s *State, p, b int) bool {
	db := &s.DB[b]
	if !reachable(s, p, b) || !owned(c, s, p, b) || lostTail(c, s, p, b) {
		return false
	}
	return lockFree(c, db) || !c.has(RuleVoidLock)
}

// void: "a lane transaction that sets head = max(head, alloc[b]) and ver+1, and
// COMMITS". One step: what happens between its lock and its commit is invisible
// to others, and nobody relies on a void that has not committed.
func void(c *Scenario, s *State, b int, to uint8) {
	db := &s.DB[b]
	if !c.has(RuleVoidWrites) {
		return
	}
	if db.Head < to || !c.has(RuleVoidMax) {
		db.Head = to
	}
	db.Ver++
	if c.Watch && c.Memory {
		feedVoid(c, s, b)
	}
}

// commit makes the effects of operation i's transaction visible. The guard ran
// before, under the same lock; its UPDATE wrote head without a second look.
func commit(c *Scenario, s *State, i int) {
	o, script := &s.Op[i], &c.Ops[i]
	b := int(o.Backend)
	db := &s.DB[b]
	rev := o.First
	o.Landed = rev
	for _, k := range script.Keys {
		change(c, s, i, b, k, rev)
		rev++
	}
	db.Head = rev - 1
	db.Ver++
	if o.Outcome == Failed || o.Outcome == Conflict {
		s.Bad = uint8(LawUnknown)
	}
}

// change writes one object and its event: "event r holds the value before r".
func change(c *Scenario, s *State, i, b, k int, rev uint8) {
	script, db := &c.Ops[i], &s.DB[b]
	old := db.Obj[k]
	now := Object{Mod: rev, Expiry: script.TTL}
	gone := script.Kind == Delete || script.Kind == Reap
	if gone {
		now = Object{}
	}
	if gone && old.Mod == 0 || script.Kind == Create && old.Mod != 0 {
		s.Bad = uint8(LawExpected)
	}
	if script.Kind == Reap && (old.Expiry == 0 || old.Expiry > s.Clock) {
		s.Bad = uint8(LawReap)
	}
	prev := old.Mod
	if !c.has(RuleUndoLog) {
		prev = now.Mod
	}
	for n := range db.Ev {
		if db.Ev[n].Rev == 0 {
			db.Ev[n] = Event{Rev: rev, Key: uint8(k), Prev: prev, Token: uint8(i + 1)}
			break
		}
	}
	db.Obj[k] = now
	committed(c, s, b, k, rev, gone)
}

// committed keeps the ghosts: what really happened, against which lists and
// watches are judged.
func committed(c *Scenario, s *State, b, k int, rev uint8, gone bool) {
	if s.Used&bit(rev) != 0 {
		s.Bad = uint8(LawUnique)
	}
	s.Used |= bit(rev)
	if rev <= s.Pub[k] {
		s.Bad = uint8(LawPublished)
	}
	w := &s.Watch
	if w.On == 1 && rev > w.Start && rev <= w.Cur && c.covers(k) {
		s.Bad = uint8(LawWatchLost)
	}
	for n := range s.Log {
		if s.Log[n].Rev == 0 {
			f := Fact{Rev: rev, Key: uint8(k), Backend: uint8(b)}
			if gone {
				f.Del = 1
			}
			s.Log[n] = f
			return
		}
	}
}

// truth is the value of a key at a revision, by the ghost: the revision that
// wrote it, 0 = absent.
func truth(s *State, k int, at uint8) uint8 {
	best, value := uint8(0), uint8(0)
	for _, f := range s.Log {
		if f.Rev > best && f.Rev <= at && int(f.Key) == k {
			best, value = f.Rev, f.Rev
			if f.Del == 1 {
				value = 0
			}
		}
	}
	return value
}

// valueAt is the value at R as a backend reconstructs it: "prev of the key's
// first event > R, else the object".
func valueAt(c *Scenario, s *State, b, k int, at uint8) uint8 {
	db := &s.DB[b]
	if !c.has(RuleUndoLog) {
		return redoAt(db, k, at)
	}
	first, value := uint8(255), db.Obj[k].Mod
	if !c.has(RuleExpiredSeen) && db.Obj[k].Expiry != 0 && db.Obj[k].Expiry <= s.Clock {
		value = 0
	}
	for _, e := range db.Ev {
		if e.Rev > at && e.Rev < first && int(e.Key) == k {
			first, value = e.Rev, e.Prev
		}
	}
	return value
}

// redoAt is the shortcut of counterexample 6: the newest event at or below R.
func redoAt(db *DB, k int, at uint8) uint8 {
	if db.Obj[k].Mod <= at && db.Obj[k].Mod > 0 {
		return db.Obj[k].Mod
	}
	best, value := uint8(0), uint8(0)
	for _, e := range db.Ev {
		if e.Rev > best && e.Rev <= at && int(e.Key) == k {
			best, value = e.Rev, e.Prev
		}
	}
	return value
}

// hasToken: "a revision is no token where it can be drawn again".
func hasToken(c *Scenario, db *DB, i int, first uint8) bool {
	for _, e := range db.Ev {
		if int(e.Token) == i+1 || e.Rev == first && !c.has(RuleTokenExact) {
			return true
		}
	}
	return false
}
