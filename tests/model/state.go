package model

// The scope. Everything is a byte, so a state is a small comparable value.
const (
	NumBackends = 2
	NumProcs    = 3
	NumKeys     = 4
	NumOps      = 4
	NumEvents   = 6 // a backend keeps at most this many
	NumReaders  = 2
)

// Lane is the lane row of a backend (protocol: "Lane row").
type Lane struct{ MID, Epoch, Gen, Head, Ver, Floor uint8 }

// Object is a stored key. Its value is the revision that wrote it; 0 = absent.
type Object struct{ Mod, Expiry uint8 }

// Kind of a change.
type Kind uint8

// Kinds of changes.
const (
	Put    Kind = iota // create or update, whatever is there
	Create             // expects that the key is absent
	Delete
	Reap // delete that expects (revision, expiry): a reaper's batch
)

// Event r of the undo log: Prev is the value before r (with RuleUndoLog out: after it).
type Event struct {
	Rev, Key, Prev, Token uint8
}

// DB is the committed state of one backend, and who holds its lane lock.
type DB struct {
	Lane
	Obj  [NumKeys]Object
	Ev   [NumEvents]Event // ascending in commit order, zero = free
	Lock uint8            // 1 + operation whose session holds the lane row; 0 = free
	Inc  uint8            // incarnation: changes when an older copy is put in its place
	Down uint8            // 1 = unreachable
}

// Meta is a metadata store: M of the protocol.
type Meta struct {
	Open  uint8 // 0 = lost, not yet made or not yet open
	MID   uint8
	Epoch uint8
	Rev   uint8 // highest number handed out, or reserved in blocks
	Topo  uint8 // announced topology version
	Alloc [NumBackends]uint8
	Conf  [NumBackends]uint8 // confirmed
	Inc   [NumBackends]uint8
	Lock  uint8 // 1 + operation whose session changed the row and has not ended; 0 = free
}

// Where a process is with its operation.
const (
	PCIdle    uint8 = iota
	PCAsked         // the lock statement was sent (only without RuleTwoStatements)
	PCLocked        // the lane row was read, under its lock
	PCChecked       // the preconditions hold
	PCSend          // everything is ready for objects, events, guard, COMMIT
	PCSent          // waits for the reply to COMMIT
	PCVoid          // took and did not commit: voids at once
	PCUnknown       // the reply was lost: fences first
	PCToken         // fenced: reads the token
	PCFeed          // known committed: feeds the ring
	PCDecide        // tells the sequencer, then acknowledges
	PCRetry         // etcd: the client library sends the same transaction again
	PCStopped       // fenced off by another owner, or refuses a lost tail
)

// Proc is a process; in scenarios with one process in memory, a lane of it.
type Proc struct {
	Alive uint8
	PC    uint8
	First uint8 // numbers in flight begin here; 0 = none
	Snap  uint8 // object revision seen by a statement that began before the lock
	Exp   uint8 // a reaper: the expiry it read
	Mod   uint8 // a reaper: the revision it read, plus one; 0 = has not looked
	Epoch uint8
	Topo  uint8 // topology version it knows
	Block uint8 // numbers from a reserved block: the last one used
	Here  uint8 // 1 = First is M.rev + 1 as read, handed out by the COMMIT of the batch itself
	Apart uint8 // 1 = others were faster once: the next numbers may be taken apart
	Known uint8 // highest number it knows to have been handed out
	Seen  [NumBackends]uint8
}

// What an operation's session in the database does. It outlives its client.
const (
	SessNone    uint8 = iota
	SessLocked        // holds the lane lock, COMMIT not sent
	SessFlight        // guard passed, COMMIT on its way
	SessLanded        // committed, reply on its way
	SessRefused       // rolled back, reply on its way
)

// What the client was told.
const (
	NotYet uint8 = iota
	Acked
	Conflict
	Failed
	Unknown // OUTCOME_UNKNOWN
)

// OpState is one write: its session and what became of it.
type OpState struct {
	Outcome uint8
	Landed  uint8 // first revision that it committed; 0 = none
	Sess    uint8
	Conn    uint8 // 1 = the client still listens
	Backend uint8
	First   uint8
	Head    uint8 // as read under the lock: PrevHead of the ring
	Ver     uint8
	Takes   uint8 // 1 = COMMIT hands the numbers out too
}

// Where a read is.
const (
	ReadNew uint8 = iota
	ReadScan
	ReadDone
	ReadRefused // UNAVAILABLE: allowed only where a scenario says so
	ReadGone    // 410
)

// Reader is one list.
type Reader struct {
	PC     uint8
	R      uint8
	Rev    uint8 // M's rev of its resolve
	Topo   uint8
	Asked  uint8 // a minimum or exact revision
	Acked  uint8 // ghost: operations acknowledged when it arrived
	MinRV  uint8 // ghost: highest RV handed out for the resource when it arrived
	Done   uint8 // backends read
	Alloc  [NumBackends]uint8
	Got    [NumKeys]uint8
	Arrive uint8 // 1 = the ghosts are set (a restart keeps them)
}

// Watch is one watch and the rings of its process.
type Watch struct {
	Ring  [NumBackends]uint64 // revisions in the ring
	Emit  uint64              // revisions delivered
	Tail  [NumBackends]uint8  // of the rings
	Alloc [NumBackends]uint8  // of the running resolve
	Rev   uint8               // of the running resolve; 0 = none
	On    uint8               // 1 = started, 2 = ended with an error
	Start uint8
	Cur   uint8 // everything at or below was delivered: progress
	Last  uint8 // last delivered event
	Want  uint8 // RequestProgress: 1 = asked, 2 = its resolve began, 3 = answered
	Least uint8 // ghost: what the answer must be at least
	Topo  uint8
	Bound uint8 // events at or below may be delivered
	Asked uint8 // RequestProgress: the revision that its answer waits for
	_     [2]uint8
}

// Fact is one committed change, in the order of commits (ghost).
type Fact struct{ Rev, Key, Del, Backend uint8 }

// Job is a long action of an operator or a starting process, step by step.
type Job struct {
	Step  uint8
	Start uint8 // new epoch: where history begins; move: the number heads are raised to
	Late  uint8 // backends that could not be fenced yet, a bit each
	Fence uint8 // backends fenced, a bit each
}

// State is everything.
type State struct {
	Watch  Watch
	Used   uint64 // ghost: revisions ever committed
	DB     [NumBackends]DB
	Copy   DB   // an older copy of backend 0
	CopyM  Meta // and of a metadata store in the same database
	M      [2]Meta
	P      [NumProcs]Proc
	Op     [NumOps]OpState
	Rd     [NumReaders]Reader
	Log    [NumEvents]Fact // ghost
	Pub    [NumKeys]uint8  // ghost: highest revision at which a list with the key was answered
	RV     [2]uint8        // ghost: highest revision handed out, per resource
	Boot   Job
	Move   Job
	Faults [8]uint8 // how many of each are left
	Clock  uint8
	Comp   uint8 // compactions left
	Target uint8 // floor_target in M
	Copied uint8 // 1 = Copy holds a backup
	Lost   uint8 // 1 = the operator accepted a loss
	Bad    uint8 // ghost: the law that broke
	_      [1]uint8
}

func bit(rev uint8) uint64 { return 1 << rev }
