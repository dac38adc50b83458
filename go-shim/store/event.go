package store

import (
	"fmt"
	"math/rand/v2"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/etcd3/metrics"

	"github.com/libstorage/go-shim/kv"
)

// change is what a watch looks at: the object after and before, if they matter.
type change struct {
	now, before decoded
	updated     bool
}

// events makes what the caller sees of a batch, which it gives back. With an
// error come the events before it.
func (w *watcher) events(batch *kv.Batch) ([]watch.Event, error) {
	defer batch.Release()
	n := len(batch.Events)
	if n == 0 {
		return nil, nil
	}
	w.last = batch.Events[n-1].Revision
	return w.collect(n, func(i int) (change, error) {
		metrics.RecordEtcdEvent(w.s.label)
		return w.look(&batch.Events[i])
	})
}

// collect looks at changes 0..n-1 on several cores, and then, in order, makes
// the events of them, up to the first error.
func (w *watcher) collect(n int, look func(i int) (change, error)) ([]watch.Event, error) {
	changes := make([]change, n)
	errs := make([]error, n)
	done := each(n, func(i int) bool {
		changes[i], errs[i] = look(i)
		return errs[i] == nil
	})
	events := make([]watch.Event, 0, n)
	for i := range done {
		if errs[i] != nil {
			return events, errs[i]
		}
		if event, ok := w.event(&changes[i]); ok {
			events = append(events, event)
		}
	}
	return events, nil
}

// look decodes what matters of a change.
func (w *watcher) look(e *kv.Event) (c change, err error) {
	gone := e.Kind == kv.EventDelete || e.Kind == kv.EventExpire
	c.updated = e.Kind == kv.EventUpdate
	if !gone {
		if c.now, err = w.object(e, sideNew, e.Value); err != nil {
			return c, err
		}
	}
	if gone || c.updated && !w.all {
		c.before, err = w.object(e, sideOld, e.Prev)
		if gone && err != nil {
			err = asCorruptDeleted(err)
		}
	}
	return c, err
}

// object decodes one side of a change, unless another watch or the writer has.
func (w *watcher) object(e *kv.Event, side side, value []byte) (decoded, error) {
	return w.s.decoded.get(w.ctx, decodeKey{e.Revision, side}, e.Key, value, w.s.watches.count() > 1,
		func() (runtime.Object, error) { return w.decodeStored(value, e.Revision, string(e.Key)) })
}

// event is what the watch sees of a change: with a selector an object may come
// into view or leave it. One that left or was deleted is shown as it was, at the
// revision of the change.
func (w *watcher) event(c *change) (watch.Event, bool) {
	now := w.selects(c.now.obj)
	before := w.selects(c.before.obj) || w.all && c.updated
	switch {
	case now && before:
		return watch.Event{Type: watch.Modified, Object: w.handOut(c.now)}, true
	case now:
		return watch.Event{Type: watch.Added, Object: w.handOut(c.now)}, true
	case before:
		return watch.Event{Type: watch.Deleted, Object: w.handOut(c.before)}, true
	}
	return watch.Event{}, false
}

// selects tells whether there is an object that the watch is about.
func (w *watcher) selects(obj runtime.Object) bool {
	if obj == nil || w.all {
		return obj != nil
	}
	ok, err := w.pred.Matches(obj)
	return err == nil && ok
}

// sharedFrom is how many watches it takes until they share a serialization, as in
// upstream's watch cache. Code inside the API server that watches alone gets the type
// that it expects.
const sharedFrom = 3

// handOut gives the caller an object of its own, or one that it cannot change.
func (w *watcher) handOut(o decoded) runtime.Object {
	switch {
	case o.kept == nil:
		return o.obj
	case w.s.shareEncoding && !w.progress && w.s.watches.count() >= sharedFrom:
		return o.kept.share()
	}
	return o.obj.DeepCopyObject()
}

// decodeStored decodes a stored value.
func (w *watcher) decodeStored(value []byte, rev int64, key string) (runtime.Object, error) {
	data, _, err := w.s.fromStorage(w.ctx, value, key)
	if err != nil {
		return nil, err
	}
	return w.s.decode(data, nil, rev, key)
}

// sync sends what is there as ADDED events, read at one revision, which becomes
// that of the watch.
func (w *watcher) sync() error {
	if w.rev > 0 {
		current, err := w.s.currentRevision(w.ctx)
		if err != nil {
			return err
		}
		if w.rev > current {
			retry := 1 + rand.IntN(3) // not all clients at once
			return storage.NewTooLargeResourceVersionError(uint64(w.rev), uint64(current), retry)
		}
	}
	w.rev = 0
	l := list{s: w.s, prefix: w.start, from: w.start, end: w.end, empty: true}
	for more := true; more; {
		// No page is fetched ahead: a slow reader would keep it in memory.
		p := l.fetch(w.ctx, request{rows: firstPage})
		if p.err != nil {
			return p.err
		}
		if err := l.begin(p.result); err != nil {
			return err
		}
		more = p.result.More
		events, err := w.existing(p.result)
		for _, event := range events {
			if !w.send(event) {
				return w.ctx.Err()
			}
		}
		if err != nil {
			return err
		}
	}
	w.rev = l.rev
	return nil
}

// existing makes the ADDED events of a page, which it gives back.
func (w *watcher) existing(result *kv.Result) ([]watch.Event, error) {
	defer result.Release()
	return w.collect(len(result.KVs), func(i int) (change, error) {
		row := &result.KVs[i]
		obj, err := w.decodeStored(row.Value, row.ModRevision, string(row.Key))
		if err != nil {
			return change{}, fmt.Errorf("key %q: %w", row.Key, err)
		}
		return change{now: decoded{obj: obj}}, nil
	})
}
