// Package kv is the narrow waist between store (storage.Interface) and native
// (cgo): five verbs in plain Go. It knows nothing of Kubernetes objects.
//
// Every method is safe for concurrent use. No implementation holds a lock while
// caller code runs.
package kv

import (
	"context"
	"fmt"
)

// Resource says where keys belong. Nothing is guessed from key segments.
type Resource struct {
	Group      string // "" is the core group
	Resource   string // plural; raw storages: "masterleases", "ranges", ...
	Kind       string // "" is unknown
	Root       string // storage root with both slashes: "/registry/"
	KeyPrefix  string // whole prefix, ends in "/": "/registry/pods/"
	Namespaced bool
	Custom     bool
}

// ResourceID is what Register returned.
type ResourceID int32

// KV is one stored object. Key and Value are views into memory owned by the
// result that they came in: copy what must outlive its Release.
type KV struct {
	Key            []byte
	Value          []byte
	ModRevision    int64
	CreateRevision int64
	ExpireAtMillis int64 // Unix milliseconds, 0 never
}

// Result holds what a call returned. Release exactly once, also for empty results.
type Result struct {
	KVs       []KV
	Revision  int64 // resource version of the answer
	More      bool  // List: rows follow the page
	Remaining int64 // List: rows after the page, -1 unknown
	Count     int64 // Count

	memory
}

// Owner of memory behind results, named by handles. For implementations: a
// handle costs no closure.
type Owner interface {
	ReleaseHandle(handle uint64)
}

// memory is what a Result or Batch gives back, once.
type memory struct {
	release func()
	owner   Owner
	handle  uint64
}

// Own makes Release call owner.ReleaseHandle(handle). For implementations.
func (m *memory) Own(owner Owner, handle uint64) { m.owner, m.handle = owner, handle }

func (m *memory) free() {
	if owner := m.owner; owner != nil {
		m.owner = nil
		owner.ReleaseHandle(m.handle)
	}
	if release := m.release; release != nil {
		m.release = nil
		release()
	}
}

// NewResult is for implementations; release may be nil.
func NewResult(release func()) *Result {
	return &Result{Remaining: -1, memory: memory{release: release}}
}

// Release gives the memory of KVs back. The views are invalid afterwards.
func (r *Result) Release() {
	if r != nil {
		r.free()
	}
}

// ReadOptions of Get and List.
type ReadOptions struct {
	Revision      int64 // 0 latest
	Exact         bool  // at Revision; otherwise Revision is a minimum
	Limit         int64 // List: rows, 0 everything
	WantRemaining bool  // List: count the rows after the page
}

// AnyRevision as PutOptions.Expected: write whatever is there.
const AnyRevision int64 = -1

// PutOptions of Put.
type PutOptions struct {
	Expected  int64 // mod revision; 0 must not exist
	TTLMillis int64 // 0 never expires
	Attrs     []byte

	// Meanwhile, unless nil, runs once on the caller's goroutine when the write is
	// under way, so that work on the answer overlaps with the commit.
	Meanwhile func()
}

// EventKind of a watch event.
type EventKind int32

// Kinds, the same numbers as STG_EVENT_*.
const (
	EventCreate EventKind = 1
	EventUpdate EventKind = 2
	EventDelete EventKind = 3
	EventExpire EventKind = 4
)

// Event is one change. Views: see KV.
type Event struct {
	Revision int64
	Kind     EventKind
	Key      []byte
	Value    []byte // nil for EventDelete and EventExpire
	Prev     []byte // nil for EventCreate
}

// Batch is what a watch delivered. Release exactly once.
type Batch struct {
	Events   []Event // ascending revisions
	Progress int64   // > 0: everything up to here was delivered, after Events

	memory
}

// NewBatch is for implementations; release may be nil.
func NewBatch(release func()) *Batch { return &Batch{memory: memory{release: release}} }

// Release gives the memory of Events back.
func (b *Batch) Release() {
	if b != nil {
		b.free()
	}
}

// Watcher delivers events in order, none lost and none twice.
type Watcher interface {
	// Next waits for something to deliver. It ends with ctx, with Close (ErrClosed)
	// or with an *Error (CodeCompacted, CodeSlowConsumer, ...), after which it is over.
	Next(ctx context.Context) (*Batch, error)
	// RequestProgress asks for a Batch with Progress at least as high as every
	// revision acknowledged or listed before the call.
	RequestProgress()
	Close()
}

// Store is the database behind a topology.
type Store interface {
	Register(r Resource) (ResourceID, error)

	// Get returns one KV, or an *Error with CodeNotFound and Revision set.
	Get(ctx context.Context, r ResourceID, key string, opts ReadOptions) (*Result, error)
	// List returns start <= key < end in key order (end "" is unbounded).
	List(ctx context.Context, r ResourceID, start, end string, opts ReadOptions) (*Result, error)
	Count(ctx context.Context, r ResourceID, start, end string) (int64, error)
	// Put returns the revision of the write. On CodeConflict and CodeExists the
	// *Error carries the current object (release it); on CodeNotFound (expected
	// revision given, key gone) it carries none.
	Put(ctx context.Context, r ResourceID, key string, value []byte, opts PutOptions) (int64, error)
	// Delete returns the revision of the delete. Errors as for Put.
	Delete(ctx context.Context, r ResourceID, key string, expected int64) (int64, error)
	// Watch starts after a revision. CodeCompacted when it is below the floor.
	Watch(ctx context.Context, r ResourceID, start, end string, after int64) (Watcher, error)

	// Compact raises the floor to rev: reads and watches at rev stay legal.
	Compact(ctx context.Context, rev int64) error
	// CurrentRevision is linearizable.
	CurrentRevision(ctx context.Context, r ResourceID) (int64, error)

	// Check: "engine", "metadata", "default" or a backend's name.
	Check(name string) error
	Backends() []string
	StatsJSON() ([]byte, error)
	LayoutJSON() ([]byte, error)
	Close() error
}

// Code classifies an error; the numbers are STG_CODE_*.
type Code int32

// Codes of libstorage.h.
const (
	CodeOK             Code = 0
	CodeNotFound       Code = 1
	CodeExists         Code = 2
	CodeConflict       Code = 3
	CodeCompacted      Code = 4
	CodeFutureRevision Code = 5
	CodeInvalid        Code = 6
	CodeTooLarge       Code = 7
	CodeBusy           Code = 8
	CodeUnavailable    Code = 9
	CodeReadOnly       Code = 10
	CodeNoSpace        Code = 11
	CodeOutcomeUnknown Code = 12
	CodeDeadline       Code = 13
	CodeCancelled      Code = 14
	CodeSlowConsumer   Code = 15
	CodeCorrupt        Code = 16
	CodeUnimplemented  Code = 17
	CodeInternal       Code = 18
)

// Error of a Store. An outage is never CodeConflict.
type Error struct {
	Code       Code
	Message    string
	Backend    string // "" none
	DriverCode int32
	Revision   int64   // current revision where the answer has one
	Floor      int64   // CodeCompacted: oldest readable revision
	Current    *Result // CodeConflict, CodeExists: one KV; release it. Otherwise nil
}

// Error implements error.
func (e *Error) Error() string {
	if e.Backend != "" {
		return fmt.Sprintf("storage backend %q: %s", e.Backend, e.Message)
	}
	return e.Message
}

// ErrClosed is what a closed Watcher or Store returns.
var ErrClosed = fmt.Errorf("storage: closed")
