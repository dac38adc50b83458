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

// events makes what the caller sees of a batch, which it gives back. With an
// error come the events before it.
func (w *watcher) events(batch *kv.Batch) ([]watch.Event, error) {
	defer batch.Release()
	n := len(batch.Events)
	if n == 0 {
		return nil, nil
	}
	w.last = batch.Events[n-1].Revision
	return collect(n, func(i int) (watch.Event, error) {
		metrics.RecordEtcdEvent(w.s.label)
		return w.event(&batch.Events[i])
	})
}

// collect makes events 0..n-1 on several cores and returns them in order, up to
// the first error. An event without a type is none.
func collect(n int, make1 func(i int) (watch.Event, error)) ([]watch.Event, error) {
	events := make([]watch.Event, n)
	errs := make([]error, n)
	done := each(n, func(i int) bool {
		events[i], errs[i] = make1(i)
		return errs[i] == nil
	})
	kept := events[:0]
	for i := range done {
		if errs[i] != nil {
			return kept, errs[i]
		}
		if events[i].Type != "" {
			kept = append(kept, events[i])
		}
	}
	return kept, nil
}

// event is what a watch sees of a change: with a selector, an object may come
// into view or leave it. An object that left or was deleted is shown as it was,
// at the revision of the change.
func (w *watcher) event(e *kv.Event) (watch.Event, error) {
	gone := e.Kind == kv.EventDelete || e.Kind == kv.EventExpire
	var now, before seen
	var err error
	if !gone {
		if now, err = w.look(e, sideNew, e.Value); err != nil {
			return watch.Event{}, err
		}
	}
	if gone || e.Kind == kv.EventUpdate && !w.all {
		if before, err = w.look(e, sideOld, e.Prev); err != nil {
			if gone {
				err = asCorruptDeleted(err)
			}
			return watch.Event{}, err
		}
	}
	switch {
	case now.selected && (before.selected || w.all && e.Kind == kv.EventUpdate):
		return watch.Event{Type: watch.Modified, Object: w.handOut(now)}, nil
	case now.selected:
		return watch.Event{Type: watch.Added, Object: w.handOut(now)}, nil
	case before.selected:
		return watch.Event{Type: watch.Deleted, Object: w.handOut(before)}, nil
	}
	return watch.Event{}, nil
}

// seen is one side of a change.
type seen struct {
	decoded
	selected bool
}

// look decodes one side of a change and asks the selector.
func (w *watcher) look(e *kv.Event, side side, value []byte) (seen, error) {
	d, err := w.s.decoded.get(w.ctx, decodeKey{e.Revision, side}, len(value), w.s.watches.count() > 1,
		func() (runtime.Object, error) { return w.s.decodeStored(w, value, e.Revision, string(e.Key)) })
	if err != nil {
		return seen{}, err
	}
	return seen{d, w.selects(d.obj)}, nil
}

func (w *watcher) selects(obj runtime.Object) bool {
	if w.all {
		return true
	}
	ok, err := w.pred.Matches(obj)
	return err == nil && ok
}

// handOut gives the caller an object of its own.
func (w *watcher) handOut(o seen) runtime.Object {
	if o.owned {
		return o.obj
	}
	return o.obj.DeepCopyObject()
}

// decodeStored decodes a stored value for a watch.
func (s *Store) decodeStored(w *watcher, value []byte, rev int64, key string) (runtime.Object, error) {
	data, _, err := s.fromStorage(w.ctx, value, key)
	if err != nil {
		return nil, err
	}
	return s.decode(data, nil, rev, key)
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
	return collect(len(result.KVs), func(i int) (watch.Event, error) {
		row := &result.KVs[i]
		obj, err := w.s.decodeStored(w, row.Value, row.ModRevision, string(row.Key))
		if err != nil {
			return watch.Event{}, fmt.Errorf("key %q: %w", row.Key, err)
		}
		if !w.selects(obj) {
			return watch.Event{}, nil
		}
		return watch.Event{Type: watch.Added, Object: obj}, nil
	})
}
