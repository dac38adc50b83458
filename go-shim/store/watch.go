package store

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/features"
	"k8s.io/apiserver/pkg/storage"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	utilflowcontrol "k8s.io/apiserver/pkg/util/flowcontrol"

	"github.com/libstorage/go-shim/kv"
)

// resultBuffer is how many events wait for a slow reader before the watch stops
// taking more from the engine, which keeps them.
const resultBuffer = 100

// watcher is one Watch: a goroutine that takes what the engine delivers in order
// and sends what the caller should see.
type watcher struct {
	s          *Store
	start, end string // the range of keys
	pred       storage.SelectionPredicate
	all        bool // pred selects everything

	rev       int64  // begin after this revision; 0 for now
	initial   bool   // send what is there first
	markEnd   bool   // then a bookmark that says so
	progress  bool   // the watch cache's own: wants every progress mark
	group     string // of watches that RequestWatchProgress reaches together
	bookmarks bool   // a client that takes bookmarks

	ctx     context.Context
	cancel  context.CancelFunc
	stop    sync.Once
	stopped chan struct{}
	results chan watch.Event
	last    int64 // revision of what was sent last

	marks marks
	mu    sync.Mutex
	feed  kv.Watcher // guarded by mu: nil before it is open and after it is closed
}

// Watch implements storage.Interface.
func (s *Store) Watch(ctx context.Context, key string, opts storage.ListOptions) (watch.Interface, error) {
	key, err := s.prepareKey(key)
	if err != nil {
		return nil, err
	}
	parsed, err := s.versioner.ParseResourceVersion(opts.ResourceVersion)
	if err != nil {
		return nil, err
	}
	if opts.ProgressNotify && s.newFunc == nil {
		return nil, apierrors.NewInternalError(errors.New("progressNotify for watch is unsupported because no newFunc was provided"))
	}
	w := &watcher{
		s: s, start: key, end: key + "\x00", pred: opts.Predicate, all: selectsAll(&opts.Predicate),
		rev: int64(parsed), progress: opts.ProgressNotify, group: progressGroup(ctx),
		bookmarks: opts.Predicate.AllowWatchBookmarks && s.newFunc != nil,
		results:   make(chan watch.Event, resultBuffer), stopped: make(chan struct{}),
	}
	if opts.Recursive {
		w.start = withSlash(key)
		w.end = prefixEnd(w.start)
	}
	if err := w.resolve(ctx, opts.SendInitialEvents); err != nil {
		return nil, err
	}
	w.ctx, w.cancel = context.WithCancel(ctx)
	if !s.watches.add(w) {
		w.cancel()
		return nil, s.apiError(kv.ErrClosed, key, 0)
	}
	go w.run()
	// A watch that begins at the latest state says so at once, as etcd3's do.
	utilflowcontrol.WatchInitialized(ctx)
	return w, nil
}

// resolve decides where the watch starts and what it sends first.
func (w *watcher) resolve(ctx context.Context, sendInitial *bool) error {
	watchList := utilfeature.DefaultFeatureGate.Enabled(features.WatchList)
	switch {
	case sendInitial == nil:
		w.initial = w.rev == 0
	case !watchList:
	case *sendInitial:
		w.initial = true
		w.markEnd = w.bookmarks
	case w.rev == 0: // only what happens from now on
		rev, err := w.s.currentRevision(ctx)
		if err != nil {
			return w.s.apiError(err, w.start, 0)
		}
		w.rev = rev
	}
	return nil
}

// currentRevision is linearizable.
func (s *Store) currentRevision(ctx context.Context) (int64, error) {
	start := time.Now()
	rev, err := s.kv.CurrentRevision(ctx, s.id)
	s.observe(ctx, "get", err, start)
	return rev, err
}

// drainTime bounds how long a stopped watch goes on.
const drainTime = 500 * time.Millisecond

// Stop implements watch.Interface. What was committed before is still delivered
// as far as the buffer has room: a progress mark says where that ends.
func (w *watcher) Stop() {
	w.stop.Do(func() {
		close(w.stopped)
		w.requestProgress()
		timer := time.AfterFunc(drainTime, w.cancel)
		context.AfterFunc(w.ctx, func() { timer.Stop() })
	})
}

// ResultChan implements watch.Interface.
func (w *watcher) ResultChan() <-chan watch.Event { return w.results }

// run is the watcher's goroutine. The result channel closes when it ends; before
// that an error that is not the caller's own doing is the last event. The end of
// the server is none either: clients come back to another one at once.
func (w *watcher) run() {
	defer close(w.results)
	defer w.s.watches.remove(w)
	defer w.cancel()
	defer w.marks.stop()
	err := w.stream()
	if err != nil && w.ctx.Err() == nil && !errors.Is(err, kv.ErrClosed) {
		w.send(watch.Event{Type: watch.Error, Object: w.s.watchError(err, w.start)})
	}
}

// send tells whether the event has found room before the caller gave up.
func (w *watcher) send(event watch.Event) bool {
	select {
	case w.results <- event:
		return true
	default:
	}
	select {
	case w.results <- event:
		return true
	case <-w.stopped:
	case <-w.ctx.Done():
	}
	return false
}

func (w *watcher) isStopped() bool {
	select {
	case <-w.stopped:
		return true
	default:
		return false
	}
}

// open connects the watch to the engine's feed.
func (w *watcher) open() error {
	feed, err := w.s.kv.Watch(w.ctx, w.s.id, w.start, w.end, w.rev)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.feed = feed
	if w.marks.wanted.Load() { // asked for while there was no feed
		feed.RequestProgress()
	}
	return nil
}

func (w *watcher) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.feed.Close()
	w.feed = nil
}

// stream sends the initial state, if asked for, and then events until the end.
func (w *watcher) stream() error {
	if w.initial {
		if err := w.sync(); err != nil {
			return err
		}
	}
	w.last = w.rev
	if w.markEnd && !w.sendBookmark(w.rev, true) {
		return nil
	}
	if err := w.open(); err != nil {
		return err
	}
	defer w.close()
	w.marks.begin(w)
	for {
		batch, err := w.feed.Next(w.ctx)
		if err != nil {
			return err
		}
		progress := batch.Progress
		events, err := w.events(batch)
		if len(events) > 0 {
			w.marks.sent()
		}
		for _, event := range events {
			if !w.send(event) {
				return nil
			}
			// The watch cache gives each of its clients room for ten events, and ends
			// the watch of one that has none: they get their turns within a batch.
			runtime.Gosched()
		}
		if err != nil { // nothing may overtake it
			return err
		}
		if progress > 0 && !w.mark(progress) {
			return nil
		}
	}
}
