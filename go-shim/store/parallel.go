package store

import (
	"runtime"
	"sync"
	"sync/atomic"
)

const (
	parallelRows = 64 // fewer are done by the caller alone
	chunkRows    = 16
	maxWorkers   = 4
)

// each calls do for 0..n-1 on several cores. Numbers are handed out in order. Once
// a call returned false no more are handed out, but all lower ones are done. The
// result is a number below which all are done. A panic is the caller's.
func each(n int, do func(i int) bool) int {
	workers := min(runtime.GOMAXPROCS(0), maxWorkers, n/parallelRows+1)
	if workers == 1 {
		for i := range n {
			if !do(i) {
				return i + 1
			}
		}
		return n
	}
	e := &eacher{n: n, do: do}
	var wg sync.WaitGroup
	for range workers - 1 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			e.work()
		}()
	}
	e.work()
	wg.Wait()
	if p := e.panicked.Load(); p != nil {
		panic(*p)
	}
	return min(n, int(e.done.Load()))
}

type eacher struct {
	n        int
	do       func(i int) bool
	next     atomic.Int64 // first number that was not handed out
	done     atomic.Int64 // numbers that were handed out; all of them are done in the end
	panicked atomic.Pointer[any]
}

func (e *eacher) work() {
	defer func() {
		if p := recover(); p != nil {
			e.panicked.CompareAndSwap(nil, &p)
			e.next.Store(int64(e.n))
		}
	}()
	for {
		from := int(e.next.Add(chunkRows)) - chunkRows
		if from >= e.n {
			return
		}
		e.done.Add(chunkRows)
		if !e.chunk(from, min(from+chunkRows, e.n)) {
			e.next.Store(int64(e.n))
		}
	}
}

// chunk does all of a chunk even when told to stop within: a lower number of
// another worker may be the one that counts.
func (e *eacher) chunk(from, to int) bool {
	more := true
	for i := from; i < to; i++ {
		more = e.do(i) && more
	}
	return more
}
