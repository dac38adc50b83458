//go:build cgo

package native

// #include "shim.h"
import "C"

import (
	"context"
	"sync"
	"sync/atomic"
)

// States of a call in flight. The one who moves it out of callWaiting decides
// who releases what the completion brings: the caller or the dispatcher.
const (
	callWaiting uint32 = iota
	callDone
	callAbandoned
)

// call is one operation: its arguments, its completion, and where its goroutine
// waits. Calls are reused; user = slot and generation names one use.
type call struct {
	op    C.stg_op
	done  C.stg_completion
	ready chan struct{} // one token per completion that found the caller waiting
	slot  uint32
	gen   uint32
	state atomic.Uint32
}

func (c *call) user() uint64 { return uint64(c.gen)<<32 | uint64(c.slot) }

// callTable finds the call of a completion. A slot is free again only when its
// completion was seen, so an abandoned call cannot be mistaken for the next.
type callTable struct {
	mu   sync.Mutex
	all  []*call
	free []*call
}

func (t *callTable) take() *call {
	t.mu.Lock()
	var c *call
	if n := len(t.free); n > 0 {
		c = t.free[n-1]
		t.free = t.free[:n-1]
	} else {
		c = &call{ready: make(chan struct{}, 1), slot: uint32(len(t.all))}
		t.all = append(t.all, c)
	}
	c.gen++
	t.mu.Unlock()
	c.state.Store(callWaiting)
	return c
}

func (t *callTable) put(c *call) {
	t.mu.Lock()
	t.free = append(t.free, c)
	t.mu.Unlock()
}

// find is for the dispatcher; nil for what this table did not give out.
func (t *callTable) find(user uint64) *call {
	slot := uint32(user)
	t.mu.Lock()
	defer t.mu.Unlock()
	if int(slot) >= len(t.all) {
		return nil
	}
	if c := t.all[slot]; c.gen == uint32(user>>32) {
		return c
	}
	return nil
}

// wait returns nil once c.done is filled. Otherwise ctx ended first: the call
// belongs to the dispatcher, which releases what still comes.
func (s *Store) wait(ctx context.Context, c *call, id C.uint64_t) error {
	cancelled := ctx.Done()
	if cancelled == nil {
		<-c.ready
		return nil
	}
	select {
	case <-c.ready:
		return nil
	case <-cancelled:
	}
	if !c.state.CompareAndSwap(callWaiting, callAbandoned) {
		<-c.ready // the completion came at the same moment: it counts
		return nil
	}
	C.stg_cancel(s.engine, id)
	return ctx.Err()
}

// complete is the dispatcher's half of wait.
func (s *Store) complete(done *C.stg_completion) {
	c := s.calls.find(uint64(done.user))
	if c == nil {
		s.releaseSlab(uint64(done.slab))
		return
	}
	c.done = *done
	if c.state.CompareAndSwap(callWaiting, callDone) {
		c.ready <- struct{}{}
		return
	}
	s.releaseSlab(uint64(done.slab))
	s.calls.put(c)
}
