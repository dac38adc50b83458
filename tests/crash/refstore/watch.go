package refstore

import (
	"context"
	"fmt"
	"sort"
	"sync"

	"github.com/libstorage/go-shim/kv"
)

type watcher struct {
	store      *Store
	start, end string
	last       int64
	closed     chan struct{}
	close      sync.Once
}

// Watch implements kv.Store.
func (s *Store) Watch(_ context.Context, _ kv.ResourceID, start, end string, after int64) (kv.Watcher, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if after < s.floor {
		err := fail(kv.CodeCompacted, "revision %d is below %d", after, s.floor)
		err.Floor = s.floor
		return nil, err
	}
	return &watcher{store: s, start: start, end: end, last: after, closed: make(chan struct{})}, nil
}

// Next implements kv.Watcher: whatever is new, and a progress mark.
func (w *watcher) Next(ctx context.Context) (*kv.Batch, error) {
	for {
		w.store.mu.Lock()
		changed, rev := w.store.changed, w.store.rev
		batch := kv.NewBatch(nil)
		events := w.store.events
		first := sort.Search(len(events), func(i int) bool { return events[i].Revision > w.last })
		for _, event := range events[first:] {
			key := string(event.Key)
			if key >= w.start && (w.end == "" || key < w.end) {
				batch.Events = append(batch.Events, event)
			}
		}
		w.store.mu.Unlock()
		if rev > w.last {
			w.last, batch.Progress = rev, rev
			return batch, nil
		}
		select {
		case <-changed:
		case <-w.closed:
			return nil, kv.ErrClosed
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// RequestProgress implements kv.Watcher: every batch has it.
func (w *watcher) RequestProgress() {}

// Close implements kv.Watcher.
func (w *watcher) Close() { w.close.Do(func() { close(w.closed) }) }

// Register implements kv.Store.
func (s *Store) Register(kv.Resource) (kv.ResourceID, error) { return 0, nil }

// Count implements kv.Store.
func (s *Store) Count(ctx context.Context, r kv.ResourceID, start, end string) (int64, error) {
	result, err := s.List(ctx, r, start, end, kv.ReadOptions{})
	if err != nil {
		return 0, err
	}
	return int64(len(result.KVs)), nil
}

// CurrentRevision implements kv.Store.
func (s *Store) CurrentRevision(context.Context, kv.ResourceID) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rev, nil
}

// Check implements kv.Store.
func (s *Store) Check(string) error { return nil }

// Backends implements kv.Store.
func (s *Store) Backends() []string { return []string{"default"} }

// StatsJSON implements kv.Store.
func (s *Store) StatsJSON() ([]byte, error) { return nil, fmt.Errorf("not kept") }

// LayoutJSON implements kv.Store.
func (s *Store) LayoutJSON() ([]byte, error) { return nil, fmt.Errorf("not kept") }

// Close implements kv.Store.
func (s *Store) Close() error { return s.log.Close() }

var _ kv.Store = (*Store)(nil)
