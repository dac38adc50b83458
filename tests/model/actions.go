package model

// Action names what a step does.
type Action uint8

// Actions. What the arguments of a step mean stands in the table below.
const (
	None Action = iota
	Ask
	LockLane
	ReadHead
	CheckOp
	Take
	ReadRev
	SendCommit
	Land
	RollBack
	Reply
	Fence
	ReadToken
	Feed
	Decide
	Retry
	Reload
	LookExpired
	Janitor
	Resolve
	ReaderVoid
	Snapshot
	ReadOne
	ReloadRead
	JoinResolve
	StartWatch
	Poll
	WatchResolve
	WatchBound
	Emit
	Progress
	AskProgress
	SetTarget
	RaiseFloor
	DeleteEvents
	Tick
	StartRead
	NewMeta
	FenceLane
	ChooseStart
	JumpLane
	OpenMeta
	LateFence
	EndRead
	EndMark
	Announce
	FenceLoser
	CopyKey
	ReadRaise
	RaiseLane
	EndWatches
	OpenGainer
	Backup
	Accept
	Back
	CrashProc
	LoseReply
	KillSess
	LoseMeta
	RestoreCopy
	GoAway
	numActions
)

// actionTable: the name of each action in traces and schedules, and what the
// three arguments of its step are ("" = unused).
var actionTable = [numActions]struct{ name, a, b, c string }{
	Ask:          {"ask-lock", "process", "backend", "write"},
	LockLane:     {"lock-lane", "process", "backend", "write"},
	ReadHead:     {"read-head", "process", "backend", "write"},
	CheckOp:      {"check", "process", "backend", "write"},
	Take:         {"take", "process", "backend", "number"},
	ReadRev:      {"read-rev", "process", "backend", "number"},
	SendCommit:   {"send-commit", "process", "backend", "write"},
	Land:         {"commit-lands", "", "backend", "write"},
	RollBack:     {"rolls-back", "", "backend", "write"},
	Reply:        {"reply", "process", "backend", "write"},
	Fence:        {"fence", "process", "backend", "write"},
	ReadToken:    {"read-token", "process", "backend", "write"},
	Feed:         {"feed-ring", "process", "backend", "write"},
	Decide:       {"decide-and-acknowledge", "process", "backend", "write"},
	Retry:        {"retry", "process", "backend", "write"},
	Reload:       {"reload-topology", "process", "", ""},
	LookExpired:  {"look-expired", "process", "backend", "write"},
	Janitor:      {"janitor-voids", "process", "backend", ""},
	Resolve:      {"resolve", "reader", "", ""},
	ReaderVoid:   {"reader-voids", "reader", "backend", ""},
	Snapshot:     {"snapshot", "reader", "backend", ""},
	ReadOne:      {"list-one", "reader", "backend", ""},
	ReloadRead:   {"reader-reloads", "reader", "", ""},
	JoinResolve:  {"join-resolve", "reader", "", ""},
	StartWatch:   {"start-watch", "", "", "revision"},
	Poll:         {"poll-events", "", "backend", ""},
	WatchResolve: {"watch-resolve", "", "", "rev"},
	WatchBound:   {"watch-complete", "", "", "bound"},
	Emit:         {"emit", "", "", "revision"},
	Progress:     {"progress", "", "", "bound"},
	AskProgress:  {"request-progress", "", "", ""},
	SetTarget:    {"set-floor-target", "", "", "target"},
	RaiseFloor:   {"raise-floor", "", "backend", "floor"},
	DeleteEvents: {"delete-events", "", "backend", "upto"},
	Tick:         {"tick", "", "", ""},
	StartRead:    {"start-reads-rev", "process", "", "rev"},
	EndRead:      {"end-reads-rev", "process", "", "rev"},
	EndMark:      {"end-marks-clean", "process", "", "rev"},
	NewMeta:      {"new-meta", "process", "", ""},
	FenceLane:    {"fence-lane", "process", "backend", "unreachable"},
	ChooseStart:  {"choose-start", "process", "", ""},
	JumpLane:     {"jump-lane", "process", "backend", "start"},
	OpenMeta:     {"open-meta", "process", "", ""},
	LateFence:    {"late-fence", "process", "backend", ""},
	Announce:     {"announce", "", "", ""},
	FenceLoser:   {"fence-loser", "", "backend", ""},
	CopyKey:      {"copy-key", "key", "backend", ""},
	ReadRaise:    {"read-raise", "", "", "number"},
	RaiseLane:    {"raise-lane", "", "backend", "number"},
	EndWatches:   {"end-watches", "", "", ""},
	OpenGainer:   {"open-gainer", "", "backend", ""},
	Backup:       {"backup", "", "backend", ""},
	Accept:       {"accept-loss", "", "", ""},
	Back:         {"backend-is-back", "", "backend", ""},
	CrashProc:    {"CRASH", "process", "", ""},
	LoseReply:    {"LOSE-REPLY", "process", "backend", "write"},
	KillSess:     {"KILL-SESSION", "", "backend", "write"},
	LoseMeta:     {"LOSE-META", "", "", ""},
	RestoreCopy:  {"RESTORE-OLDER-COPY", "", "backend", ""},
	GoAway:       {"BACKEND-AWAY", "", "backend", ""},
}

func (a Action) String() string { return actionTable[a].name }

// IsFault: nothing may rely on it to get further. A compaction and a backup are
// nobody's duty either.
func (a Action) IsFault() bool { return a >= CrashProc || a == Backup || a == SetTarget }

// args are the named arguments of a step.
func (s Step) args() map[string]int {
	named := map[string]int{}
	row := actionTable[s.Act]
	for _, arg := range []struct {
		name  string
		value uint8
	}{{row.a, s.A}, {row.b, s.B}, {row.c, s.C}} {
		if arg.name != "" {
			named[arg.name] = int(arg.value)
		}
	}
	return named
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
	e.ends()
	e.faults()
}
