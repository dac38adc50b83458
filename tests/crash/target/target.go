// Package target is what the crash harness needs of a server under test: to start
// and kill it, and to call it.
package target

import (
	"context"
	"errors"
	"fmt"

	"github.com/libstorage/tests/crash/process"
	"github.com/libstorage/tests/history"
)

// Target is a server under test with its data in one directory.
type Target interface {
	// Start returns when it serves; the data of an earlier start is there. With an
	// error comes the process if there is one; when ctx ends it is killed.
	Start(ctx context.Context) (*process.Process, error)
	// Client of the server; it survives restarts.
	Client() Client
	// LoseMetadata deletes the metadata store of a server that is down.
	LoseMetadata() error
}

// Client calls the server. An *Error is an answer; every other error of a write
// leaves open whether it happened.
type Client interface {
	// Create, Update and Delete return the revision, 0 when they are not told it.
	Create(ctx context.Context, key, value string) (int64, error)
	Update(ctx context.Context, key, value string, expected int64) (int64, error)
	Delete(ctx context.Context, key string, expected int64) (int64, error)
	// Get reads at a revision, 0 for the latest. It returns that of the answer, 0
	// when it has none.
	Get(ctx context.Context, key string, at int64) ([]history.Item, int64, error)
	// List reads all pages.
	List(ctx context.Context, prefix string, o ListOptions) (Listing, error)
	Watch(ctx context.Context, prefix string, after int64) (Stream, error)
	// Compact raises the floor to a revision; ErrUnsupported when it cannot.
	Compact(ctx context.Context, rev int64) error
}

// ListOptions say which state is read, the latest when both are 0, and how.
type ListOptions struct {
	At   int64 // exactly this revision
	Min  int64 // this revision or a later one
	Page int   // objects of a page, 0 for everything at once
}

// Listing is what a list answered. Rev is that of its first page, 0 when it has none.
type Listing struct {
	Items []history.Item
	Rev   int64
	Pages []int64 // the revision that each page told
}

// Add a page to what there is.
func (l *Listing) Add(items []history.Item, rev int64) {
	if len(l.Pages) == 0 {
		l.Rev = rev
	}
	l.Items, l.Pages = append(l.Items, items...), append(l.Pages, rev)
}

// Stream of a watch. Next returns an *Error when the server ended it.
type Stream interface {
	Next() (history.Event, error)
	Close()
}

// Error is a definite answer: nothing was written.
type Error struct {
	Code    history.Code
	Message string
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %s", e.Code, e.Message) }

// CodeOf an error; "" when it is not an answer.
func CodeOf(err error) history.Code {
	var answer *Error
	if errors.As(err, &answer) {
		return answer.Code
	}
	return ""
}

// ErrUnsupported by this target.
var ErrUnsupported = errors.New("not supported by this target")
