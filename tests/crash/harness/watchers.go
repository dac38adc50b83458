package harness

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/libstorage/tests/crash/target"
	"github.com/libstorage/tests/history"
)

// watcher follows one prefix over all strikes, resuming where it was; when it is
// told 410 it lists and follows from there.
type watcher struct {
	run    *run
	on     *server
	number int
	prefix string

	mu      sync.Mutex
	last    int64
	arrived chan struct{} // closed and replaced when last grows
}

// watcherClients is above the numbers of all callers of the load.
const watcherClients = 10000

// startWatchers at the current revision: every second one watches everything.
func (r *run) startWatchers(ctx context.Context) error {
	begin := r.first().list(ctx, "", target.ListOptions{})
	if begin.Result != history.OK {
		return fmt.Errorf("the first list: %s", begin.Error)
	}
	for i := range r.config.Watchers * len(r.servers) {
		on := r.servers[i/r.config.Watchers]
		w := &watcher{run: r, on: on, number: i, last: begin.Rev, arrived: make(chan struct{})}
		if i%2 == 1 {
			w.prefix = r.config.Prefixes[i/2%len(r.config.Prefixes)]
		}
		r.watchers = append(r.watchers, w)
		r.tasks.Add(1)
		go func() {
			defer r.tasks.Done()
			w.follow(ctx)
		}()
	}
	return nil
}

func (r *run) newStream(on *server, watcher int, prefix string, after int64) *history.Stream {
	s := &history.Stream{
		ID: r.record.NextID(), Watcher: watcher, Server: on.number, Prefix: prefix, After: after, Start: r.record.Now(),
	}
	r.record.Open(s)
	return s
}

func (w *watcher) follow(ctx context.Context) {
	pause := leastPause
	for w.on.gate.wait(ctx) {
		record := w.run.newStream(w.on, w.number, w.prefix, w.revision())
		stream, err := w.on.client.Watch(ctx, w.prefix, record.After)
		if err == nil {
			stop := context.AfterFunc(ctx, stream.Close)
			err = w.take(record, stream)
			stop()
			stream.Close()
		}
		code := target.CodeOf(err)
		w.run.record.Close(record, code, fmt.Sprint(err))
		if code == history.Compacted {
			w.relist(ctx)
		}
		if len(record.Events) > 0 {
			pause = leastPause
		}
		select { // a server without its database ends every watch at once
		case <-time.After(pause):
			pause = min(2*pause, mostPause)
		case <-ctx.Done():
		}
	}
}

// take records what a stream delivers until it ends.
func (w *watcher) take(record *history.Stream, stream target.Stream) error {
	for {
		event, err := stream.Next()
		if err != nil {
			return err
		}
		event.Time = w.run.record.Now()
		w.run.record.Deliver(record, event)
		w.advance(event.Rev)
	}
}

func (w *watcher) relist(ctx context.Context) {
	c := &caller{w.run, w.on, watcherClients + w.number}
	if op := c.list(ctx, w.prefix, target.ListOptions{}); op.Result == history.OK {
		w.advance(op.Rev)
	}
}

func (w *watcher) revision() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}

func (w *watcher) advance(rev int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if rev > w.last {
		w.last = rev
		close(w.arrived)
		w.arrived = make(chan struct{})
	}
}

// reach waits until a write to a prefix has been delivered.
func (w *watcher) reach(ctx context.Context, prefix string, rev int64) error {
	if !strings.HasPrefix(prefix, w.prefix) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, quietLimit)
	defer cancel()
	for {
		w.mu.Lock()
		last, arrived := w.last, w.arrived
		w.mu.Unlock()
		if last >= rev {
			return nil
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("watcher %d of %q is at %d and has not got %d within %s",
				w.number, w.prefix, last, rev, quietLimit), ctx.Err())
		}
	}
}
