//go:build cgo

package native

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"sync"
	"testing"
	"time"

	"github.com/libstorage/go-shim/kv"
)

func TestWatchKinds(t *testing.T) {
	onEach(t, func(t *testing.T, s *Store, pods kv.ResourceID) {
		w, err := s.Watch(background, pods, "/registry/pods/", podsEnd, 1)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		first := mustPut(t, s, pods, podKey(1), "one", 0)
		mustPut(t, s, pods, podKey(1), "", first)
		if _, err := s.Delete(background, pods, podKey(1), first+1); err != nil {
			t.Fatal(err)
		}
		var events []kv.Event
		var batches []*kv.Batch
		for len(events) < 3 {
			batch := next(t, w)
			batches = append(batches, batch)
			events = append(events, batch.Events...)
		}
		want := []kv.EventKind{kv.EventCreate, kv.EventUpdate, kv.EventDelete}
		for i, e := range events {
			if e.Kind != want[i] || e.Revision != first+int64(i) || string(e.Key) != podKey(1) {
				t.Errorf("event %d: %+v", i, e)
			}
		}
		if events[0].Prev != nil || events[1].Value == nil || events[2].Value != nil {
			t.Errorf("absent and empty are mixed up: %+v", events)
		}
		wantValue(t, events[1].Prev, "one")
		for _, b := range batches {
			b.Release()
		}
		w.RequestProgress()
		batch := next(t, w)
		if batch.Progress < first+2 || len(batch.Events) != 0 {
			t.Errorf("progress %+v", batch)
		}
		batch.Release()
	})
}

func next(t testing.TB, w kv.Watcher) *kv.Batch {
	t.Helper()
	ctx, cancel := context.WithTimeout(background, time.Minute)
	defer cancel()
	batch, err := w.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return batch
}

func TestWatchEndsWithContextAndClose(t *testing.T) {
	onEach(t, func(t *testing.T, s *Store, pods kv.ResourceID) {
		w, err := s.Watch(background, pods, "/registry/pods/", podsEnd, 1)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(background, 10*time.Millisecond)
		defer cancel()
		if _, err := w.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("next with a deadline: %v", err)
		}
		waiting := make(chan error)
		go func() {
			_, err := w.Next(background)
			waiting <- err
		}()
		time.Sleep(5 * time.Millisecond)
		var closers sync.WaitGroup
		for range 8 {
			closers.Add(1)
			go func() {
				defer closers.Done()
				w.Close()
				w.RequestProgress()
			}()
		}
		closers.Wait()
		if err := <-waiting; !errors.Is(err, kv.ErrClosed) {
			t.Errorf("next over close: %v", err)
		}
		if _, err := w.Next(background); !errors.Is(err, kv.ErrClosed) {
			t.Errorf("next after close: %v", err)
		}
	})
}

func TestWatchBelowTheFloor(t *testing.T) {
	onEach(t, func(t *testing.T, s *Store, pods kv.ResourceID) {
		first := mustPut(t, s, pods, podKey(1), "1", 0)
		mustPut(t, s, pods, podKey(2), "2", 0)
		mustPut(t, s, pods, podKey(3), "3", 0)
		if err := s.Compact(background, first+1); err != nil {
			t.Fatal(err)
		}
		wantCode(t, errOf(s.Watch(background, pods, "/registry/pods/", podsEnd, first)), kv.CodeCompacted)
		w, err := s.Watch(background, pods, "/registry/pods/", podsEnd, first+1)
		if err != nil {
			t.Fatal(err)
		}
		batch := next(t, w)
		if len(batch.Events) != 1 || batch.Events[0].Revision != first+2 {
			t.Errorf("after the floor: %+v", batch.Events)
		}
		batch.Release()
		w.Close()
	})
}

func TestStoreCloseEndsWatches(t *testing.T) {
	for name, options := range endpoints {
		t.Run(name, func(t *testing.T) {
			s, pods := openStore(t, options(t))
			var waiting sync.WaitGroup
			for range 20 {
				w, err := s.Watch(background, pods, "/registry/pods/", podsEnd, 1)
				if err != nil {
					t.Fatal(err)
				}
				waiting.Add(1)
				go func() {
					defer waiting.Done()
					if _, err := w.Next(background); !errors.Is(err, kv.ErrClosed) {
						t.Errorf("next over the store's close: %v", err)
					}
					w.Close()
				}()
			}
			time.Sleep(5 * time.Millisecond)
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			waiting.Wait()
			if refs := s.refs.Load(); refs != 0 {
				t.Errorf("%d references are left", refs)
			}
		})
	}
}

// model is a set of objects that a watcher builds from events alone.
type model map[string]string

// apply returns what is wrong with an event, or "".
func (m model) apply(e kv.Event) string {
	key := string(e.Key)
	prev, known := m[key]
	if string(e.Prev) != prev || (e.Prev != nil) != known {
		return fmt.Sprintf("revision %d of %s: prev %q, the model has %q (%v)", e.Revision, key, e.Prev, prev, known)
	}
	switch e.Kind {
	case kv.EventCreate, kv.EventUpdate:
		if (e.Kind == kv.EventUpdate) != known {
			return fmt.Sprintf("revision %d of %s: kind %d, known %v", e.Revision, key, e.Kind, known)
		}
		m[key] = string(e.Value)
	default:
		delete(m, key)
	}
	return ""
}

// Writers on many keys, watchers from different starts, some of which come and
// go: each sees every revision of its range once and in order, and ends with
// exactly what a list shows.
func TestWatchUnderLoadAgreesWithAModel(t *testing.T) {
	const writers, writes, keys = 16, 60, 60
	onEach(t, func(t *testing.T, s *Store, pods kv.ResourceID) {
		stop := make(chan struct{})
		var churn sync.WaitGroup
		churn.Add(1)
		go func() {
			defer churn.Done()
			churnWatches(t, s, pods, stop)
		}()
		watchers := make([]*follower, 6)
		for i := range watchers {
			watchers[i] = follow(t, s, pods, 1, model{})
		}
		var group sync.WaitGroup
		for c := range writers {
			group.Add(1)
			go func() {
				defer group.Done()
				random := rand.New(rand.NewSource(int64(c)))
				for n := range writes {
					key := podKey(random.Intn(keys))
					if random.Intn(4) == 0 {
						_, err := s.Delete(background, pods, key, kv.AnyRevision)
						var e *kv.Error
						if err != nil && !(errors.As(err, &e) && e.Code == kv.CodeNotFound) {
							t.Error(err)
						}
						continue
					}
					mustPut(t, s, pods, key, fmt.Sprintf("%d-%d", c, n), kv.AnyRevision)
				}
			}()
		}
		group.Wait()
		close(stop)
		churn.Wait()
		list, err := s.List(background, pods, "/registry/pods/", podsEnd, kv.ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		want := model{}
		for _, row := range list.KVs {
			want[string(row.Key)] = string(row.Value)
		}
		late := follow(t, s, pods, 1, model{}) // from history
		for i, f := range append(watchers, late) {
			f.finish(t, list.Revision)
			if fmt.Sprint(f.seen) != fmt.Sprint(want) {
				t.Errorf("watcher %d: %v\nlist: %v", i, f.seen, want)
			}
			if f.last != list.Revision || int64(f.events) != list.Revision-1 {
				t.Errorf("watcher %d: %d events up to %d, the list is at %d", i, f.events, f.last, list.Revision)
			}
		}
		list.Release()
	})
}

// follower applies a watch to a model on a goroutine until a revision.
type follower struct {
	watch  kv.Watcher
	seen   model
	last   int64
	events int
	target chan int64
	done   chan string
}

func follow(t testing.TB, s *Store, pods kv.ResourceID, after int64, m model) *follower {
	w, err := s.Watch(background, pods, "/registry/pods/", podsEnd, after)
	if err != nil {
		t.Fatal(err)
	}
	f := &follower{watch: w, seen: m, last: after, target: make(chan int64, 1), done: make(chan string, 1)}
	go func() { f.done <- f.run() }()
	return f
}

func (f *follower) run() string {
	defer f.watch.Close()
	ctx, cancel := context.WithTimeout(background, 2*time.Minute)
	defer cancel()
	target := int64(-1)
	for target < 0 || f.last < target {
		batch, err := f.watch.Next(ctx)
		if err != nil {
			return err.Error()
		}
		for _, e := range batch.Events {
			if e.Revision != f.last+1 {
				return fmt.Sprintf("revision %d after %d", e.Revision, f.last)
			}
			f.last = e.Revision
			f.events++
			if problem := f.seen.apply(e); problem != "" {
				return problem
			}
		}
		if batch.Progress > 0 && batch.Progress < f.last {
			return fmt.Sprintf("progress %d after %d", batch.Progress, f.last)
		}
		batch.Release()
		select {
		case target = <-f.target:
		default:
		}
	}
	return ""
}

func (f *follower) finish(t testing.TB, target int64) {
	t.Helper()
	f.target <- target
	f.watch.RequestProgress() // wakes one that already has everything
	if problem := <-f.done; problem != "" {
		t.Error(problem)
	}
}

func churnWatches(t testing.TB, s *Store, pods kv.ResourceID, stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		w, err := s.Watch(background, pods, "/registry/pods/", podsEnd, 1)
		if err != nil {
			t.Error(err)
			return
		}
		ctx, cancel := context.WithTimeout(background, time.Millisecond)
		if batch, err := w.Next(ctx); err == nil {
			batch.Release()
		}
		cancel()
		w.Close()
	}
}
