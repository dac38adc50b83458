package model

// Action names what a step does; the comment says what A, B and C are.
type Action uint8

// Actions.
const (
	None         Action = iota
	Ask                 // A process, B backend: the lock statement goes out
	LockLane            // A process, B backend, C operation
	ReadHead            // A process, B backend, C operation: etcd's head and key
	CheckOp             // A process, C operation: preconditions, in their own statement
	Take                // A process, B backend, C first number
	SendCommit          // A process, B backend, C operation: objects, events, guard, COMMIT
	Land                // B backend, C operation: the session commits
	RollBack            // B backend, C operation: a session without a client rolls back
	Reply               // A process, C operation
	Fence               // A process, B backend, C operation: committed void
	ReadToken           // A process, C operation
	Feed                // A process, B backend, C operation: into the ring
	Decide              // A process, B backend, C operation: the sequencer learns it; acknowledged
	Retry               // A process, C operation: etcd, the same transaction again
	Reload              // A process: reads the announced topology
	LookExpired         // A process, C operation
	Janitor             // A process, B backend: void to alloc
	Resolve             // A reader: reads rev and alloc
	ReaderVoid          // A reader, B backend
	Snapshot            // A reader, B backend: floor, head, gen, objects, events of one moment
	ReadOne             // A reader: a list in one backend, one snapshot
	ReloadRead          // A reader: its process reads the announced topology
	JoinResolve         // A reader: takes the other reader's resolve
	StartWatch          // at the revision of a list
	Poll                // B backend: the ring reads (tail, head] from events
	WatchResolve        // the watching process reads rev and alloc
	WatchBound          // every backend is complete up to the resolve
	Emit                // A revision
	Progress            // C bound
	AskProgress         // RequestWatchProgress
	SetTarget           // the compactor chooses floor_target in M
	RaiseFloor          // B backend
	DeleteEvents        // B backend
	Tick                // the backends' clocks
	NewMeta             // a starting process makes or locks M
	FenceLane           // B backend: new (m_id, epoch)
	ChooseStart         // C start
	JumpLane            // B backend: head = floor = start
	OpenMeta            // M opens
	LateFence           // B backend, unreachable before
	Announce            // topology v+1
	FenceLoser          // B backend: gen
	CopyKey             // A key, B to backend
	ReadRaise           // C number: M.rev, for the raise
	RaiseLane           // B backend
	EndWatches          //
	OpenGainer          // B backend: gen
	Backup              // an older copy is made
	Accept              // the operator accepts the loss: new epoch
	Back                // B backend can be reached again
	CrashProc           // fault: A process
	LoseReply           // fault: A process, C operation
	KillSess            // fault: B backend, C operation
	LoseMeta            // fault
	RestoreCopy         // fault: backend 0
	GoAway              // fault: backend 1
	numActions
)

var actionNames = [numActions]string{
	"", "ask-lock", "lock-lane", "read-head", "check", "take", "send-commit", "commit-lands",
	"rolls-back", "reply", "fence", "read-token", "feed-ring", "decide-and-acknowledge", "retry",
	"reload-topology", "look-expired", "janitor-voids", "resolve", "reader-voids", "snapshot",
	"list-one", "reader-reloads", "join-resolve", "start-watch", "poll-events", "watch-resolve", "watch-complete",
	"emit", "progress", "request-progress", "set-floor-target", "raise-floor", "delete-events",
	"tick", "new-meta", "fence-lane", "choose-start", "jump-lane", "open-meta", "late-fence",
	"announce", "fence-loser", "copy-key", "read-raise", "raise-lane", "end-watches",
	"open-gainer", "backup", "accept-loss", "backend-is-back", "CRASH", "LOSE-REPLY", "KILL-SESSION",
	"LOSE-META", "RESTORE-OLDER-COPY", "BACKEND-AWAY",
}

func (a Action) String() string { return actionNames[a] }

// IsFault: nothing may rely on it to get further.
func (a Action) IsFault() bool {
	switch a {
	case CrashProc, LoseReply, KillSess, LoseMeta, RestoreCopy, GoAway, Backup, SetTarget:
		return true
	}
	return false
}

// emitter collects successors: each action copies the state and changes it.
type emitter struct {
	c    *Scenario
	s    *State
	emit func(Step, *State)
	t    State
}

func (e *emitter) do(act Action, a, b, c int, change func(t *State)) {
	e.t = *e.s
	change(&e.t)
	e.emit(Step{act, uint8(a), uint8(b), uint8(c)}, &e.t)
}

// Successors calls emit for every action that is possible in s. The state is
// valid during the call.
func Successors(c *Scenario, s *State, emit func(Step, *State)) {
	e := &emitter{c: c, s: s, emit: emit}
	for p := 0; p < NumProcs; p++ {
		if s.P[p].Alive == 1 {
			e.writer(p)
			e.janitor(p)
		}
	}
	e.sessions()
	for r := range c.Reads {
		e.reader(r)
	}
	e.watch()
	e.history()
	e.epoch()
	e.move()
	e.faults()
}
