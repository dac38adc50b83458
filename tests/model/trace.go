package model

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Entry is one step of a schedule as it is replayed or read: who did what, and
// what the databases and the metadata store hold after it.
type Entry struct {
	N       int            `json:"n"`
	Action  string         `json:"action"`
	Args    map[string]int `json:"args,omitempty"`
	Fault   bool           `json:"fault,omitempty"`
	Lanes   []LaneAfter    `json:"lanes"`
	Rev     uint8          `json:"rev"`
	Outcome []string       `json:"outcome"` // per operation
	Answers []Answer       `json:"answers"` // per reader
	Watch   WatchAfter     `json:"watch"`
}

// LaneAfter is a backend after a step.
type LaneAfter struct {
	Head    uint8                  `json:"head"`
	Floor   uint8                  `json:"floor"`
	Ver     uint8                  `json:"ver"`
	MID     uint8                  `json:"m_id"`
	Epoch   uint8                  `json:"epoch"`
	Gen     uint8                  `json:"gen"`
	Locked  uint8                  `json:"locked_by,omitempty"` // 1 + operation
	Objects map[string]uint8       `json:"objects,omitempty"`
	Events  map[uint8]EventOfTrace `json:"events,omitempty"`
}

// EventOfTrace is an event row.
type EventOfTrace struct {
	Key  string `json:"key"`
	Prev uint8  `json:"prev"`
}

// Answer is what a reader was told.
type Answer struct {
	State    string           `json:"state"`
	Revision uint8            `json:"revision,omitempty"`
	Items    map[string]uint8 `json:"items,omitempty"`
}

// WatchAfter is what the watch delivered.
type WatchAfter struct {
	Events   []uint8 `json:"events,omitempty"`
	Progress uint8   `json:"progress,omitempty"`
	Ended    bool    `json:"ended,omitempty"`
}

// Schedule is a scenario with one run through it.
type Schedule struct {
	Scenario string    `json:"scenario"`
	Mode     []string  `json:"mode,omitempty"` // how processes work in it
	Out      []string  `json:"rules_taken_out,omitempty"`
	Broken   string    `json:"broken_law,omitempty"`
	Ops      []WriteOp `json:"ops"`
	Reads    []Read    `json:"reads"`
	Route    [2][4]int `json:"route"`
	Steps    []Entry   `json:"steps"`
}

// Replay runs steps from the first state and describes them. It fails when a
// step is not possible where it stands.
func Replay(c *Scenario, steps []Step) (Schedule, State, error) {
	out := Schedule{Scenario: c.Name, Mode: c.mode(), Ops: c.Ops, Reads: c.Reads}
	for r := Rule(0); r < numRules; r++ {
		if !c.has(r) {
			out.Out = append(out.Out, r.String())
		}
	}
	for v := range c.Route {
		for k, b := range c.Route[v] {
			out.Route[v][k] = int(b)
		}
	}
	s := c.Init()
	for n, step := range steps {
		var t State
		found := 0
		Successors(c, &s, func(got Step, next *State) {
			if got == step {
				t, found = *next, found+1
			}
		})
		if found != 1 {
			return out, s, fmt.Errorf("step %d, %v: %d ways", n+1, step, found)
		}
		s = t
		out.Steps = append(out.Steps, describe(c, &s, n+1, step))
	}
	if law := Check(c, &s); law != 0 {
		out.Broken = law.String()
	}
	return out, s, nil
}

var outcomeNames = []string{"", "acknowledged", "conflict", "failed", "unknown"}
var readNames = []string{"", "reading", "done", "unavailable", "gone"}

func describe(c *Scenario, s *State, n int, step Step) Entry {
	e := Entry{N: n, Action: step.Act.String(), Args: step.args(),
		Fault: step.Act.IsFault(), Rev: max(s.M[0].Rev, s.M[1].Rev)}
	for b := range s.DB {
		e.Lanes = append(e.Lanes, describeLane(&s.DB[b]))
	}
	for i := range c.Ops {
		e.Outcome = append(e.Outcome, outcomeNames[s.Op[i].Outcome])
	}
	for r := range c.Reads {
		a := Answer{State: readNames[s.Rd[r].PC]}
		if s.Rd[r].PC == ReadDone {
			a.Revision, a.Items = s.Rd[r].R, map[string]uint8{}
			for _, k := range c.Reads[r].Keys {
				a.Items[keyName(k)] = s.Rd[r].Got[k]
			}
		}
		e.Answers = append(e.Answers, a)
	}
	for rev := uint8(1); rev < 64; rev++ {
		if s.Watch.Emit&bit(rev) != 0 {
			e.Watch.Events = append(e.Watch.Events, rev)
		}
	}
	e.Watch.Progress, e.Watch.Ended = s.Watch.Cur, s.Watch.On == 2
	return e
}

func describeLane(db *DB) LaneAfter {
	l := LaneAfter{Head: db.Head, Floor: db.Floor, Ver: db.Ver, MID: db.MID, Epoch: db.Epoch,
		Gen: db.Gen, Locked: db.Lock, Objects: map[string]uint8{}, Events: map[uint8]EventOfTrace{}}
	for k, o := range db.Obj {
		if o.Mod != 0 {
			l.Objects[keyName(k)] = o.Mod
		}
	}
	for _, ev := range db.Ev {
		if ev.Rev != 0 {
			l.Events[ev.Rev] = EventOfTrace{keyName(int(ev.Key)), ev.Prev}
		}
	}
	return l
}

func keyName(k int) string { return fmt.Sprintf("k%d", k) }

// JSON is the schedule for a replay against the code.
func (s Schedule) JSON() ([]byte, error) { return json.MarshalIndent(s, "", " ") }

// String is the schedule for a reader: one line a step.
func (s Schedule) String() string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s, without %v: %s\n", s.Scenario, s.Out, s.Broken)
	for _, e := range s.Steps {
		fmt.Fprintf(&out, "%3d  %-22s %s\n     %s\n", e.N, e.Action, who(e), after(e))
	}
	return out.String()
}

// who is the arguments of a step, in a fixed order.
func who(e Entry) string {
	var out []string
	for _, name := range argNames {
		if value, ok := e.Args[name]; ok {
			out = append(out, fmt.Sprintf("%s %d", name, value))
		}
	}
	return strings.Join(out, ", ")
}

var argNames = []string{"process", "reader", "key", "backend", "write", "number", "revision", "rev",
	"bound", "target", "floor", "upto", "unreachable", "start"}

func after(e Entry) string {
	var out strings.Builder
	fmt.Fprintf(&out, "rev %d", e.Rev)
	for b, l := range e.Lanes {
		fmt.Fprintf(&out, " | b%d head %d floor %d gen %d", b, l.Head, l.Floor, l.Gen)
		if l.Locked > 0 {
			fmt.Fprintf(&out, " locked by write %d", l.Locked-1)
		}
		if len(l.Objects) > 0 {
			fmt.Fprintf(&out, " %v", l.Objects)
		}
	}
	for i, o := range e.Outcome {
		if o != "" {
			fmt.Fprintf(&out, " | write %d %s", i, o)
		}
	}
	for r, a := range e.Answers {
		if a.State == "done" {
			fmt.Fprintf(&out, " | list %d at %d: %v", r, a.Revision, a.Items)
		} else if a.State != "" {
			fmt.Fprintf(&out, " | list %d %s", r, a.State)
		}
	}
	if len(e.Watch.Events) > 0 || e.Watch.Progress > 0 {
		fmt.Fprintf(&out, " | watch %v progress %d", e.Watch.Events, e.Watch.Progress)
	}
	return out.String()
}
