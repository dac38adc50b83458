package model

// WriteOp is one write of a scenario's script. A process executes its
// operations in the order of their numbers.
type WriteOp struct {
	Proc int   `json:"process"`
	Kind Kind  `json:"kind"`
	Keys []int `json:"keys"`          // of one backend; more than one = a batch that survives as a whole
	TTL  uint8 `json:"ttl,omitempty"` // expiry of a Put: the clock at which it is over; 0 = never
}

// ReadKind says how a list is made.
type ReadKind uint8

// Kinds of lists.
const (
	List    ReadKind = iota // consistent: as new as everything acknowledged
	ListMin                 // not older than the highest revision ever handed out
	ListAt                  // exactly at a revision that was handed out
	Current                 // memory: the current revision alone (upstream's GetCurrentResourceVersion)
)

// Read is one list of a scenario's script.
type Read struct {
	Proc     int      `json:"process"`
	Kind     ReadKind `json:"kind"`
	Keys     []int    `json:"keys"`            // what the request covers
	Resource int      `json:"resource"`        // whose numbers it hands out
	After    int      `json:"after,omitempty"` // 1 + the reader that must have ended; 0 = none
}

// Fault is a kind of failure with a budget.
type Fault uint8

// Faults.
const (
	Crash   Fault = iota // a process ends
	Lost                 // the reply to COMMIT is lost
	Kill                 // the server ends a session
	LoseM                // the metadata store is gone
	Restore              // an older copy of backend 0 is put in its place
	Away                 // backend 1 cannot be reached for a while
	Stall                // a process believes it lives, a successor starts (one-process mode)
	numFaults
)

// Scenario bounds one state space.
type Scenario struct {
	Name      string
	Rules     Rules
	Ops       []WriteOp
	Reads     []Read
	Route     [2][NumKeys]uint8 // topology versions 1 and 2: key -> backend
	Resources [][]int           // keys of each resource
	Faults    map[Fault]int

	Memory    bool // one process, the sequencer in memory; processes are its lanes
	EarlyTake bool // takes before the lock
	Etcd      bool // backends are etcds: compare instead of a lock
	Block     int  // numbers reserved ahead without asking M (one-process mode); 0 = none

	Watch     bool // process WatchProc watches resource 0 from revision 0
	WatchProc int
	Progress  bool // and asks for progress once
	FromList  bool // the watch starts at the revision of reader 0's list

	Compactions int
	Starts      bool // process 1 is not there at first: it starts when M is lost or process 0 stalls
	ForeignM    bool // process 1 has a metadata store of its own, from the start
	Move        bool // keys move from route 1 to route 2
	Together    int  // 1 + the backend in the database of the metadata store; 0 = none
	Mixed       bool // its batches may take their numbers apart at any time
	Knows       bool // processes remember what was handed out, although nothing goes back
	Ends        bool // process 2, which believes it is the last one, ends in order
	Shared      bool // a start changes the epoch of a metadata store that goes on handing out
	Ticks       int  // how far the backends' clock goes
	FloorFree   bool // floors above heads are looked at through their readers alone
	SameInc     bool // a restored copy looks like the database before it
	ReadersVoid bool // readers may void too (they belong to writing processes)
	Refusable   bool // a read may end in UNAVAILABLE for good
	PlusOne     bool // one writer, no faults: numbers without gaps

	MaxStates int  // the exploration fails above
	MayStop   bool // or stops there
}

func (c *Scenario) has(r Rule) bool { return c.Rules.Has(r) }

// keys of backend b among ks, under topology version v.
func (c *Scenario) backendOf(v uint8, key int) int { return int(c.Route[v-1][key]) }

// reach is S: the backends in which the keys can live, a bit each.
func (c *Scenario) reach(v uint8, keys []int) uint8 {
	var s uint8
	for _, k := range keys {
		s |= 1 << c.backendOf(v, k)
	}
	return s
}

// gen is the version in which the set of keys of backend b last changed.
func (c *Scenario) gen(v uint8, b int) uint8 {
	if v == 1 {
		return 1
	}
	for k := 0; k < NumKeys; k++ {
		if c.Route[0][k] != c.Route[1][k] && (c.backendOf(1, k) == b || c.backendOf(2, k) == b) {
			return 2
		}
	}
	return 1
}

// genOK: may a process that knows version v use the keys in backend b whose
// lane row says laneGen? "Until a gaining backend is open, a process that knows
// v+1 serves from it the keys that both versions route to it."
func (c *Scenario) genOK(v uint8, b int, keys []int, laneGen uint8) bool {
	if laneGen == c.gen(v, b) {
		return true
	}
	if v == 1 || laneGen != c.gen(v-1, b) && laneGen != closed {
		return false
	}
	for _, k := range keys {
		if c.backendOf(v, k) == b && c.backendOf(v-1, k) != b {
			return false
		}
	}
	return true
}

// Init is the first state.
func (c *Scenario) Init() State {
	var s State
	s.M[0] = Meta{Open: 1, MID: 1, Epoch: 1, Topo: 1}
	if !c.Shared {
		s.M[0].Rev = uint8(c.Block)
	}
	if c.ForeignM {
		s.M[1] = Meta{Open: 1, MID: 2, Epoch: 1, Topo: 1}
	}
	for b := range s.DB {
		s.DB[b].Lane = Lane{MID: 1, Epoch: 1, Gen: 1}
	}
	for p := range s.P {
		s.P[p] = Proc{Epoch: 1, Topo: 1}
		if p != 1 || !c.Starts {
			s.P[p].Alive = 1
		}
	}
	for f, n := range c.Faults {
		s.Faults[f] = uint8(n)
	}
	s.Comp = uint8(c.Compactions)
	s.Watch.Topo = 1
	if c.Watch && !c.FromList {
		s.Watch.On = 1
	}
	return s
}

// meta is the metadata store of a process.
func (c *Scenario) meta(p int) int {
	if p == 1 && (c.ForeignM || c.Starts && c.Block == 0 && !c.Shared) {
		return 1
	}
	return 0
}

// mid is the identity a process writes into its guards.
func (c *Scenario) mid(p int) uint8 { return uint8(c.meta(p) + 1) }

// next is the operation that process p is at or will do next; -1 = none.
func (c *Scenario) next(s *State, p int) int {
	for i := range c.Ops {
		if c.Ops[i].Proc == p && s.Op[i].Outcome == NotYet {
			return i
		}
	}
	return -1
}
