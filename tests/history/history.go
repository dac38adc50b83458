// Package history is what a test with faults records: every call with its start,
// end and result, every event of every watch, and what was done to the servers. It
// is kept as JSON lines, one record a line, so that a run can be checked again.
package history

// OpKind of a call.
type OpKind string

// Kinds of calls. Get and List read at At when it is not 0.
const (
	Create OpKind = "create"
	Update OpKind = "update" // conditional on Expected
	Delete OpKind = "delete" // conditional on Expected
	Get    OpKind = "get"
	List   OpKind = "list" // all pages of it
)

// Result of a call.
type Result string

// Results. Failed is definite: nothing was written. Unknown may have been.
const (
	OK      Result = "ok"
	Failed  Result = "failed"
	Unknown Result = "unknown"
)

// Code says why a call failed or a watch ended.
type Code string

// Codes.
const (
	Exists    Code = "exists"
	Conflict  Code = "conflict"
	NotFound  Code = "notfound"
	Compacted Code = "compacted" // 410
	Future    Code = "future"    // a revision above everything
	NoSpace   Code = "nospace"
	Other     Code = "other"
)

// Item is one object as a read showed it.
type Item struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	Mod   int64  `json:"mod"`
}

// Op is one call. Times are nanoseconds since the run began.
type Op struct {
	ID       int    `json:"id"`
	Kind     OpKind `json:"kind"`
	Key      string `json:"key"`             // List: the prefix
	Value    string `json:"value,omitempty"` // of a write; unique in the run
	Expected int64  `json:"expected,omitempty"`
	At       int64  `json:"at,omitempty"`  // reads: exactly this revision
	Min      int64  `json:"min,omitempty"` // List: this revision or a later one
	Server   int    `json:"server,omitempty"`
	Client   int    `json:"client,omitempty"` // one caller: its calls do not overlap

	Start  int64  `json:"start"`
	End    int64  `json:"end"`
	Result Result `json:"result"`
	Code   Code   `json:"code,omitempty"`
	Error  string `json:"error,omitempty"`
	Rev    int64  `json:"rev,omitempty"`   // of the write, or of the answer; 0 not told
	Items  []Item `json:"items,omitempty"` // reads
	// Pages are the revisions that the pages of a List told, when there were several.
	Pages []int64 `json:"pages,omitempty"`
}

// Writes reports whether the call is one of the writing kinds.
func (o *Op) Writes() bool { return o.Kind == Create || o.Kind == Update || o.Kind == Delete }

// EventKind of what a watch delivers.
type EventKind string

// Kinds of events.
const (
	Put      EventKind = "put"
	Deleted  EventKind = "deleted"
	Progress EventKind = "progress" // everything up to Rev was delivered
)

// Event is one delivery of a stream.
type Event struct {
	Kind  EventKind `json:"kind"`
	Rev   int64     `json:"rev"`
	Key   string    `json:"key,omitempty"`
	Value string    `json:"value,omitempty"` // Put; Deleted: the last value
	Time  int64     `json:"time"`
}

// Stream is one watch from its start to its end.
type Stream struct {
	ID      int    `json:"id"`
	Watcher int    `json:"watcher"` // resumes as another stream after an end
	Server  int    `json:"server,omitempty"`
	Prefix  string `json:"prefix"`
	After   int64  `json:"after"`
	Start   int64  `json:"start"`

	Events []Event `json:"-"`
	End    int64   `json:"-"` // 0: it was open when the run ended
	Code   Code    `json:"-"` // why it ended; "" by us or the connection
	Error  string  `json:"-"`
}

// Last is the highest revision that the stream covers.
func (s *Stream) Last() int64 {
	if len(s.Events) == 0 {
		return s.After
	}
	return s.Events[len(s.Events)-1].Rev
}

// Covers is the highest revision of all that it delivered: Last, unless its order
// is wrong.
func (s *Stream) Covers() int64 {
	last := s.After
	for _, event := range s.Events {
		last = max(last, event.Rev)
	}
	return last
}

// MarkKind of something done to the server.
type MarkKind string

// Kinds of marks.
const (
	Kill     MarkKind = "kill"     // SIGKILL
	Power    MarkKind = "power"    // power loss
	Stop     MarkKind = "stop"     // orderly
	Full     MarkKind = "full"     // the disk has no room
	Room     MarkKind = "room"     // the disk has room again
	Ready    MarkKind = "ready"    // serving again
	Fault    MarkKind = "fault"    // of a database, of a connection, or a pause: see the note
	MetaLost MarkKind = "metalost" // the metadata store was deleted: all revisions so far are void
	Compact  MarkKind = "compact"  // Rev was asked to become the floor; before the request
)

// Mark is something done to the server.
type Mark struct {
	Kind MarkKind `json:"kind"`
	Time int64    `json:"time"`
	Rev  int64    `json:"rev,omitempty"`
	Note string   `json:"note,omitempty"`
}

// History of a run.
type History struct {
	Ops     []*Op
	Streams []*Stream
	Marks   []Mark
}
