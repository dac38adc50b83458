//go:build cgo

package native

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libstorage/go-shim/kv"
)

// A counter in one object per group of callers: lost updates and answers that
// went to the wrong caller both show.
func TestFourHundredCallers(t *testing.T) {
	const callers, keys, rounds = 400, 40, 5
	onEach(t, func(t *testing.T, s *Store, pods kv.ResourceID) {
		for i := range keys {
			mustPut(t, s, pods, podKey(i), "0", 0)
		}
		var group sync.WaitGroup
		for c := range callers {
			group.Add(1)
			go func() {
				defer group.Done()
				for range rounds {
					if err := increment(s, pods, podKey(c%keys)); err != nil {
						t.Error(err)
						return
					}
				}
			}()
		}
		group.Wait()
		if n := osThreads(t); n > 100 {
			t.Errorf("%d OS threads", n)
		}
		list, err := s.List(background, pods, "/registry/pods/", podsEnd, kv.ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer list.Release()
		for _, row := range list.KVs {
			wantValue(t, row.Value, fmt.Sprint(callers/keys*rounds))
		}
	})
}

// increment reads, adds one and writes until nobody was faster.
func increment(s *Store, pods kv.ResourceID, key string) error {
	r, err := s.Get(background, pods, key, kv.ReadOptions{})
	for {
		if err != nil {
			return err
		}
		if string(r.KVs[0].Key) != key {
			return fmt.Errorf("asked for %s, got %s", key, r.KVs[0].Key)
		}
		var n int
		if _, err := fmt.Sscan(string(r.KVs[0].Value), &n); err != nil {
			return fmt.Errorf("value %q of %s: %w", r.KVs[0].Value, key, err)
		}
		rev := r.KVs[0].ModRevision
		r.Release()
		_, err = s.Put(background, 0, key, []byte(fmt.Sprint(n+1)), kv.PutOptions{Expected: rev})
		var e *kv.Error
		if err == nil || !errors.As(err, &e) || e.Code != kv.CodeConflict {
			return err
		}
		r, err = e.Current, nil // no read between: the conflict brought it
	}
}

func osThreads(t testing.TB) int {
	entries, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestContextEndsCallsAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, s *Store, pods kv.ResourceID) {
		ctx, cancel := context.WithCancel(background)
		cancel()
		if err := errOf(s.Get(ctx, pods, podKey(1), kv.ReadOptions{})); !errors.Is(err, context.Canceled) {
			t.Errorf("get with a context that is over: %v", err)
		}
		expired, stop := context.WithTimeout(background, time.Nanosecond)
		defer stop()
		time.Sleep(time.Millisecond)
		if err := errOf(s.Put(expired, pods, podKey(1), nil, kv.PutOptions{})); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("put with a deadline that is over: %v", err)
		}
	})
}

// Random cancels at random moments: every call returns, what it returns is
// true, and nothing is left behind.
func TestRandomCancels(t *testing.T) {
	onEach(t, func(t *testing.T, s *Store, pods kv.ResourceID) {
		for i := range 50 {
			mustPut(t, s, pods, podKey(i), strings.Repeat("v", 1000), 0)
		}
		var cancelled, finished atomic.Int64
		var group sync.WaitGroup
		for c := range 64 {
			group.Add(1)
			go func() {
				defer group.Done()
				random := rand.New(rand.NewSource(int64(c)))
				for range 50 {
					ctx, cancel := context.WithTimeout(background, time.Duration(random.Intn(1500))*time.Microsecond)
					err := anyVerb(ctx, s, pods, random)
					cancel()
					switch {
					case err == nil:
						finished.Add(1)
					case errors.Is(err, context.DeadlineExceeded):
						cancelled.Add(1)
					default:
						t.Errorf("neither answer nor deadline: %v", err)
					}
				}
			}()
		}
		group.Wait()
		t.Logf("%d finished, %d cancelled", finished.Load(), cancelled.Load())
		s.calls.mu.Lock()
		all := len(s.calls.all)
		s.calls.mu.Unlock()
		if all > 64*50 {
			t.Errorf("%d calls for 64 callers", all)
		}
	})
}

func anyVerb(ctx context.Context, s *Store, pods kv.ResourceID, random *rand.Rand) error {
	key := podKey(random.Intn(50))
	var r *kv.Result
	var err error
	switch random.Intn(5) {
	case 0:
		r, err = s.Get(ctx, pods, key, kv.ReadOptions{})
	case 1:
		r, err = s.List(ctx, pods, "/registry/pods/", podsEnd, kv.ReadOptions{Limit: int64(random.Intn(60))})
	case 2:
		_, err = s.Count(ctx, pods, "/registry/pods/", podsEnd)
	case 3:
		_, err = s.Put(ctx, pods, key, []byte("new"), kv.PutOptions{Expected: kv.AnyRevision})
	case 4:
		_, err = s.Put(ctx, pods, key, []byte("new"), kv.PutOptions{Expected: 0})
		var e *kv.Error
		if errors.As(err, &e) && e.Code == kv.CodeExists {
			e.Current.Release()
			err = nil
		}
	}
	r.Release()
	return err
}

func TestABudgetCutsPagesButLosesNothing(t *testing.T) {
	for name, options := range endpoints {
		t.Run(name, func(t *testing.T) {
			opts := options(t)
			opts.BufferBudgetBytes = 128 << 10
			s, pods := openStore(t, opts)
			for i := range 200 {
				mustPut(t, s, pods, podKey(i), strings.Repeat("v", 4000), 0)
			}
			start, rows, pages := "/registry/pods/", 0, 0
			for more := true; more; pages++ {
				page, err := s.List(background, pods, start, podsEnd, kv.ReadOptions{})
				if err != nil {
					t.Fatal(err)
				}
				for _, row := range page.KVs {
					wantValue(t, row.Key, podKey(rows))
					rows++
				}
				more = page.More
				start = podKey(rows-1) + "\x00"
				page.Release()
			}
			if rows != 200 || pages < 6 {
				t.Errorf("%d rows in %d pages", rows, pages)
			}
			checkNoSlabs(t, s)
		})
	}
}

func TestReentrancy(t *testing.T) {
	onEach(t, func(t *testing.T, s *Store, pods kv.ResourceID) {
		for i := range 5 {
			mustPut(t, s, pods, podKey(i), "x", 0)
		}
		list, err := s.List(background, pods, "/registry/pods/", podsEnd, kv.ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for i := range list.KVs { // no lock is held while the caller looks at a result
			mustPut(t, s, pods, string(list.KVs[i].Key)+"-child", "x", 0)
		}
		list.Release()
	})
}
