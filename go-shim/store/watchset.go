package store

import (
	"sync"
	"sync/atomic"
)

// watchSet is the running watches of one Store.
type watchSet struct {
	n      atomic.Int32
	mu     sync.Mutex
	m      map[*watcher]struct{}
	closed bool
}

// count is asked on every write, so it takes no lock.
func (s *watchSet) count() int { return int(s.n.Load()) }
func (s *watchSet) any() bool  { return s.n.Load() > 0 }

func (s *watchSet) add(w *watcher) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if s.m == nil {
		s.m = map[*watcher]struct{}{}
	}
	s.m[w] = struct{}{}
	s.n.Add(1)
	return true
}

func (s *watchSet) remove(w *watcher) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.m, w)
	s.n.Add(-1)
}

// all is a copy: what is done with the watches needs no lock.
func (s *watchSet) all() []*watcher {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*watcher, 0, len(s.m))
	for w := range s.m {
		list = append(list, w)
	}
	return list
}

// stopAll ends the watches and refuses new ones.
func (s *watchSet) stopAll() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	for _, w := range s.all() {
		w.cancel()
	}
}
