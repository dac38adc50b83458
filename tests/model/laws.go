package model

// Law is what must hold in every state.
type Law uint8

// Laws.
const (
	_             Law = iota
	LawUnique         // a revision is committed twice
	LawPublished      // a commit at or below a revision at which its key was listed
	LawContents       // a list at R is not what was committed at or below R
	LawLinear         // a read misses a write acknowledged before it began
	LawBackwards      // a number of a resource is lower than one handed out before
	LawFuture         // a number that was handed out is refused as too large
	LawUnknown        // a write was reported as failed or conflicting, and landed
	LawWatchLost      // a watch was told that all is delivered, and an event was not
	LawWatchOrder     // an event is repeated or out of order
	LawProgress       // a requested progress is below what had been handed out
	LawFloor          // floor above head
	LawGone           // a fresh list's number is below the floor it was read with
	LawExpected       // a write commits whose expectation does not hold
	LawReap           // an expiry took an object that was renewed, or took it twice
	LawPlusOne        // one writer without faults skips a number
	LawAcked          // a write is acknowledged that was not committed
	LawAlarm          // a metadata store that did not go back is refused as if it had
	LawStuck          // nothing can happen any more and something is unfinished
	LawEnds           // a run need not end
	LawBounded        // the scope is larger than it should be
	numLaws
)

var lawNames = [numLaws]string{
	"", "revisions are unique", "no commit at or below a published revision",
	"a list at R holds what was committed at or below R", "linearizable reads",
	"numbers of a resource never go down", "a handed out number is not in the future",
	"no failure is reported for a write that lands", "no event is lost", "events are in order, each once",
	"progress is at least what was handed out before the request", "floor <= head",
	"a fresh list can be watched", "expectations hold at commit", "an expiry takes what expired, once", "+1 per write",
	"an acknowledged write is committed", "no false alarm",
	"every task gets to its end", "every run ends", "the scope is bounded",
}

func (l Law) String() string { return lawNames[l] }

// Check judges a state.
func Check(c *Scenario, s *State) Law {
	if s.Bad != 0 {
		return Law(s.Bad)
	}
	for b := range s.DB {
		if s.DB[b].Floor > s.DB[b].Head && !c.FloorFree {
			return LawFloor
		}
	}
	if c.PlusOne && s.Used&(s.Used+2) != 0 { // revisions 1..n are bits 1..n
		return LawPlusOne
	}
	return 0
}

// CheckEnd judges a state in which only faults could still happen: everything
// that was begun must be finished.
func CheckEnd(c *Scenario, s *State) Law {
	for i := range c.Ops {
		if !opEnded(c, s, i) {
			return LawStuck
		}
	}
	for r := range c.Reads {
		if !readEnded(c, s, r) {
			return LawStuck
		}
	}
	if c.Move && s.Move.Step != moveDone || c.Starts && s.Boot.Step != bootNone && s.Boot.Step != bootDone {
		return LawStuck
	}
	if c.Watch && s.Watch.On == 1 && s.P[c.WatchProc].Alive == 1 && !c.Starts {
		return watchEnded(c, s)
	}
	return 0
}

func opEnded(c *Scenario, s *State, i int) bool {
	o, p := &s.Op[i], c.Ops[i].Proc
	if o.Sess != SessNone {
		return false
	}
	if o.Outcome != NotYet || s.P[p].Alive == 0 || s.P[p].PC == PCStopped {
		return true
	}
	// A reaper with nothing to reap; a metadata store that is gone; an earlier
	// operation of the same process that will never end.
	reaperIdle := c.Ops[i].Kind == Reap && s.P[p].PC == PCIdle
	noMeta := s.M[c.meta(p)].Open == 0 || c.Block > 0
	return reaperIdle || noMeta || c.next(s, p) != i && opEnded(c, s, c.next(s, p))
}

func readEnded(c *Scenario, s *State, r int) bool {
	rd, spec := &s.Rd[r], &c.Reads[r]
	switch rd.PC {
	case ReadDone, ReadGone:
		return true
	case ReadRefused:
		return c.Refusable
	}
	if s.P[spec.Proc].Alive == 0 || s.M[c.meta(spec.Proc)].Open == 0 {
		return true
	}
	if spec.After > 0 && s.Rd[spec.After-1].PC != ReadDone {
		return readEnded(c, s, spec.After-1)
	}
	if spec.Kind == ListAt && rd.PC == ReadNew {
		return true // nothing was handed out
	}
	return !writerAlive(c, s) // nobody is left to void
}

func writerAlive(c *Scenario, s *State) bool {
	for p := range s.P {
		if s.P[p].Alive == 1 && s.P[p].PC != PCStopped && c.busy(p) {
			return true
		}
	}
	return false
}

// watchEnded: at rest everything was delivered.
func watchEnded(c *Scenario, s *State) Law {
	if !writerAlive(c, s) {
		return 0
	}
	for _, f := range s.Log {
		if f.Rev > s.Watch.Start && c.covers(int(f.Key)) && s.Watch.Emit&bit(f.Rev) == 0 {
			return LawWatchLost
		}
	}
	if s.Watch.Want == 1 || s.Watch.Want == 2 {
		return LawStuck
	}
	return 0
}
