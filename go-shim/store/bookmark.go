package store

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/metadata"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/etcd3/metrics"
	"k8s.io/klog/v2"
)

// A bookmark is a progress mark of the engine, which comes in the same queue as
// the events: it can overtake none. So a bookmark is asked for, never made up.

// beforeDeadline is when a client whose watch is about to time out gets a last
// bookmark, to come back with.
const beforeDeadline = 2 * time.Second

// marks decides when a watch asks for progress.
type marks struct {
	wanted   atomic.Bool  // a mark was asked for and not sent yet
	lastSent atomic.Int64 // Unix nanoseconds

	mu      sync.Mutex
	stopped bool
	timers  []*time.Timer
}

// begin starts the timers of a watch that takes bookmarks.
func (m *marks) begin(w *watcher) {
	m.sent()
	interval := w.s.bookmarkInterval
	switch {
	case w.progress:
		interval = w.s.progressInterval
	case !w.bookmarks:
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopped {
		return
	}
	var quiet *time.Timer
	quiet = time.AfterFunc(interval, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.stopped {
			return
		}
		next := interval - time.Since(time.Unix(0, m.lastSent.Load()))
		if next <= 0 {
			next = interval
			go w.requestProgress()
		}
		quiet.Reset(next)
	})
	m.timers = append(m.timers, quiet)
	if deadline, ok := w.ctx.Deadline(); ok {
		if left := time.Until(deadline) - beforeDeadline; left > 0 {
			m.timers = append(m.timers, time.AfterFunc(left, w.requestProgress))
		}
	}
}

func (m *marks) sent() { m.lastSent.Store(time.Now().UnixNano()) }

func (m *marks) stop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stopped = true
	for _, t := range m.timers {
		t.Stop()
	}
}

// requestProgress asks for a bookmark at a revision not older than now.
func (w *watcher) requestProgress() {
	w.marks.wanted.Store(true)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.feed != nil {
		w.feed.RequestProgress()
	}
}

// progressGroup is what etcd's client takes for one stream: requests for progress
// reach the watches with the same metadata of gRPC in their context.
func progressGroup(ctx context.Context) string {
	md, ok := metadata.FromOutgoingContext(ctx)
	if !ok || len(md) == 0 {
		return ""
	}
	return fmt.Sprint(md)
}

// RequestWatchProgress implements storage.Interface. The watch cache asks, for its
// own watch; a client's watch is reached only where both have one group.
func (s *Store) RequestWatchProgress(ctx context.Context) error {
	group := progressGroup(ctx)
	for _, w := range s.watches.all() {
		if (w.progress || w.bookmarks) && w.group == group {
			w.requestProgress()
		}
	}
	return nil
}

// mark handles a progress mark of the engine: it becomes a bookmark if one was
// asked for, or if it is news to the watch cache.
func (w *watcher) mark(rev int64) bool {
	if w.isStopped() {
		return false // all that was committed before Stop has been sent
	}
	if !w.marks.wanted.Swap(false) && !(w.progress && rev > w.last) {
		return true
	}
	metrics.RecordEtcdBookmark(w.s.label)
	w.marks.sent()
	return w.sendBookmark(max(rev, w.last), false)
}

// sendBookmark sends an object with nothing but a revision, and with the
// annotation that ends the initial events.
func (w *watcher) sendBookmark(rev int64, initialEnd bool) bool {
	obj := w.s.newFunc()
	if err := w.s.versioner.UpdateObject(obj, uint64(rev)); err != nil {
		klog.ErrorS(err, "No bookmarks for this kind of object", "resource", w.s.label)
		return true
	}
	if initialEnd {
		if err := storage.AnnotateInitialEventsEndBookmark(obj); err != nil {
			klog.ErrorS(err, "No end mark for this kind of object", "resource", w.s.label)
			return true
		}
	}
	w.last = rev
	return w.send(watch.Event{Type: watch.Bookmark, Object: obj})
}
