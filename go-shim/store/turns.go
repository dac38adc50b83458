package store

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// turns lets updates of one key that beat each other go one after the other. It
// is advice, not a lock: nothing depends on it for correctness, a wait is
// bounded, and an update that waited too long goes ahead. So an update function
// that updates the same key again is slow, never stuck.
type turns struct {
	queued atomic.Int32 // keys with a queue: the fast way to see that there is none
	mu     sync.Mutex
	keys   map[string]*turn
}

type turn struct {
	token chan struct{} // holds one element while the turn is free
	users int
}

const maxTurnWait = 50 * time.Millisecond

// taken tells whether updates of key are queueing.
func (t *turns) taken(key string) bool {
	if t.queued.Load() == 0 {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.keys[key] != nil
}

// take waits for the turn. leave ends it; waited tells that time has passed.
func (t *turns) take(ctx context.Context, key string) (leave func(), waited bool) {
	q := t.join(key)
	select {
	case <-q.token:
		return func() { q.token <- struct{}{}; t.part(key, q) }, false
	default:
	}
	timer := time.NewTimer(maxTurnWait)
	defer timer.Stop()
	select {
	case <-q.token:
		return func() { q.token <- struct{}{}; t.part(key, q) }, true
	case <-timer.C:
	case <-ctx.Done():
	}
	return func() { t.part(key, q) }, true
}

func (t *turns) join(key string) *turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	q := t.keys[key]
	if q == nil {
		q = &turn{token: make(chan struct{}, 1)}
		q.token <- struct{}{}
		if t.keys == nil {
			t.keys = map[string]*turn{}
		}
		t.keys[key] = q
		t.queued.Add(1)
	}
	q.users++
	return q
}

func (t *turns) part(key string, q *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if q.users--; q.users == 0 {
		delete(t.keys, key)
		t.queued.Add(-1)
	}
}
