package store

import (
	"sync/atomic"
	"testing"
)

func TestEach(t *testing.T) {
	for _, n := range []int{0, 1, parallelRows - 1, parallelRows, 1000} {
		calls := make([]atomic.Int32, n)
		if got := each(n, func(i int) bool { calls[i].Add(1); return true }); got != n {
			t.Errorf("each(%d) has done %d", n, got)
		}
		for i := range calls {
			if calls[i].Load() != 1 {
				t.Errorf("n %d: %d was called %d times", n, i, calls[i].Load())
			}
		}
	}
}

// TestEachStops: all numbers below the one that stopped it are done, and as a
// rule not many above.
func TestEachStops(t *testing.T) {
	const n, at = 10000, 700
	fewest := n
	for range 50 {
		calls := make([]atomic.Int32, n)
		made := each(n, func(i int) bool { calls[i].Add(1); return i != at })
		if made <= at {
			t.Fatalf("%d are done", made)
		}
		for i := range made {
			if calls[i].Load() != 1 {
				t.Fatalf("%d was called %d times", i, calls[i].Load())
			}
		}
		fewest = min(fewest, made)
	}
	if fewest > n/2 {
		t.Errorf("%d calls or more with a stop at %d", fewest, at)
	}
}

// TestEachPanics: the panic of a request's code is for the request's goroutine,
// where the API server expects it.
func TestEachPanics(t *testing.T) {
	defer func() {
		if p := recover(); p != "boom" {
			t.Errorf("recovered %v", p)
		}
	}()
	each(1000, func(i int) bool {
		if i == 500 {
			panic("boom")
		}
		return true
	})
	t.Error("no panic")
}
