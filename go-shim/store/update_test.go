package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
	storagetesting "k8s.io/apiserver/pkg/storage/testing"

	"github.com/libstorage/go-shim/kv"
)

// TestHotKey: nobody's update is lost, and few rounds are.
func TestHotKey(t *testing.T) {
	db := &putCounter{Store: newDB(t)}
	s := newTestStore(t, db)
	mustCreate(t, s, pod("hot"))
	const writers, each = 16, 20
	var wg sync.WaitGroup
	for range writers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range each {
				mustUpdate(t, s, "hot", func(p *example.Pod) { p.Generation++ })
			}
		}()
	}
	wg.Wait()
	out := &example.Pod{}
	if err := s.Get(context.Background(), podKey("hot"), storage.GetOptions{}, out); err != nil {
		t.Fatal(err)
	}
	if out.Generation != writers*each {
		t.Errorf("generation %d after %d updates", out.Generation, writers*each)
	}
	if puts := db.puts.Load(); puts > 2*writers*each {
		t.Errorf("%d writes for %d updates", puts, writers*each)
	}
	if n := s.turns.queued.Load(); n != 0 || len(s.turns.keys) != 0 {
		t.Errorf("%d queues are left", n)
	}
}

type putCounter struct {
	kv.Store
	puts atomic.Int64
}

func (c *putCounter) Put(ctx context.Context, r kv.ResourceID, key string, value []byte, o kv.PutOptions) (int64, error) {
	c.puts.Add(1)
	return c.Store.Put(ctx, r, key, value, o)
}

// TestNewcomersQueue: who comes while others queue does not beat them.
func TestNewcomersQueue(t *testing.T) {
	s := newTestStore(t, newDB(t))
	mustCreate(t, s, pod("hot"))
	leave, _ := s.turns.take(context.Background(), "/pods/ns/hot")
	var left atomic.Bool
	done := make(chan struct{})
	start := time.Now()
	go func() {
		defer close(done)
		mustUpdate(t, s, "hot", func(*example.Pod) {
			if !left.Load() && time.Since(start) < maxTurnWait {
				t.Error("the newcomer was first")
			}
		})
	}()
	time.Sleep(maxTurnWait / 2)
	left.Store(true)
	leave()
	<-done
}

// TestTurnIsBounded: who holds a turn for long does not stop the others.
func TestTurnIsBounded(t *testing.T) {
	var q turns
	ctx := context.Background()
	leave, waited := q.take(ctx, "k")
	if waited || !q.taken("k") || q.taken("other") {
		t.Errorf("waited %v, taken %v, other %v", waited, q.taken("k"), q.taken("other"))
	}
	start := time.Now()
	leave2, waited := q.take(ctx, "k")
	if took := time.Since(start); !waited || took < maxTurnWait || took > soon {
		t.Errorf("waited %v for %v", waited, took)
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	leave3, _ := q.take(cancelled, "k")
	leave()
	leave2()
	leave3()
	if q.taken("k") || len(q.keys) != 0 {
		t.Errorf("%d queues are left", len(q.keys))
	}
}

// TestUpdateDropsTheExpiry that it does not set again, as etcd3 does.
func TestUpdateDropsTheExpiry(t *testing.T) {
	s := newTestStore(t, newDB(t))
	ctx := context.Background()
	for _, name := range []string{"kept", "dropped"} {
		if err := s.Create(ctx, podKey(name), pod(name), nil, 2); err != nil {
			t.Fatal(err)
		}
	}
	w := mustWatch(t, s, "0")
	next(t, w)
	next(t, w)
	mustUpdate(t, s, "dropped", func(p *example.Pod) { p.Spec.NodeName = "n" })
	next(t, w)
	ttl := uint64(1)
	err := s.GuaranteedUpdate(ctx, podKey("kept"), &example.Pod{}, false, nil,
		func(obj runtime.Object, meta storage.ResponseMeta) (runtime.Object, *uint64, error) {
			if meta.TTL != 0 || meta.ResourceVersion == 0 {
				t.Errorf("meta %+v", meta)
			}
			obj.(*example.Pod).Spec.NodeName = "n"
			return obj, &ttl, nil
		}, nil)
	if err != nil {
		t.Fatal(err)
	}
	next(t, w)
	if event := next(t, w); podOf(event).Name != "kept" {
		t.Errorf("got %s", describe(event))
	}
	quiet(t, w, 2*time.Second)
}

// TestOutages: what went wrong below reaches the caller as what it is, once.
func TestOutages(t *testing.T) {
	db := &failingWrites{Store: newDB(t)}
	s := newTestStore(t, db)
	ctx := context.Background()
	mustCreate(t, s, pod("a"))
	for name, tc := range map[string]struct {
		code kv.Code
		is   func(error) bool
	}{
		"down":    {kv.CodeUnavailable, apierrors.IsServiceUnavailable},
		"unknown": {kv.CodeOutcomeUnknown, apierrors.IsTimeout},
		"large":   {kv.CodeTooLarge, apierrors.IsRequestEntityTooLargeError},
		"full":    {kv.CodeNoSpace, apierrors.IsInternalError},
	} {
		db.err = &kv.Error{Code: tc.code, Message: name}
		db.calls = 0
		calls := 0
		for what, err := range map[string]error{
			"create": s.Create(ctx, podKey("b"), pod("b"), &example.Pod{}, 0),
			"update": s.GuaranteedUpdate(ctx, podKey("a"), &example.Pod{}, false, nil, storage.SimpleUpdate(func(obj runtime.Object) (runtime.Object, error) {
				calls++
				obj.(*example.Pod).Generation++
				return obj, nil
			}), nil),
			"delete": s.Delete(ctx, podKey("a"), &example.Pod{}, nil, storage.ValidateAllObjectFunc, nil, storage.DeleteOptions{}),
		} {
			if !tc.is(err) {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
		if calls != 1 || db.calls != 3 {
			t.Errorf("%s: %d calls of the update function, %d writes", name, calls, db.calls)
		}
	}
}

type failingWrites struct {
	kv.Store
	err   error
	calls int
}

func (f *failingWrites) Put(ctx context.Context, r kv.ResourceID, key string, value []byte, o kv.PutOptions) (int64, error) {
	if f.err != nil {
		f.calls++
		return 0, f.err
	}
	return f.Store.Put(ctx, r, key, value, o)
}

func (f *failingWrites) Delete(context.Context, kv.ResourceID, string, int64) (int64, error) {
	f.calls++
	return 0, f.err
}

// TestStaleValueIsRewritten, with equal bytes too: its key has been rotated.
func TestStaleValueIsRewritten(t *testing.T) {
	s := newTestStore(t, newDB(t))
	p := mustCreate(t, s, pod("a"))
	if same := mustUpdate(t, s, "a", func(*example.Pod) {}); same.ResourceVersion != p.ResourceVersion {
		t.Errorf("an update without a change made %s of %s", same.ResourceVersion, p.ResourceVersion)
	}
	restore := storeUnderTest{s}.setTransformer(storagetesting.NewPrefixTransformer([]byte(testPrefix), true))
	defer restore()
	if fresh := mustUpdate(t, s, "a", func(*example.Pod) {}); fresh.ResourceVersion == p.ResourceVersion {
		t.Error("not written")
	}
}

// TestSuggestionWithoutVersion is stale by definition, and 0 is no revision to
// expect of something that is to be deleted.
func TestSuggestionWithoutVersion(t *testing.T) {
	s := newTestStore(t, expectsSomething{newDB(t), t})
	ctx := context.Background()
	p := mustCreate(t, s, pod("a"))
	out := &example.Pod{}
	if err := s.Delete(ctx, podKey("a"), out, nil, storage.ValidateAllObjectFunc, pod("a"), storage.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if revision(t, out.ResourceVersion) != revision(t, p.ResourceVersion)+1 {
		t.Errorf("deleted at %s", out.ResourceVersion)
	}
	err := s.Delete(ctx, podKey("a"), out, nil, storage.ValidateAllObjectFunc, pod("a"), storage.DeleteOptions{})
	if !storage.IsNotFound(err) {
		t.Errorf("deleting what is gone: %v", err)
	}
}

type expectsSomething struct {
	kv.Store
	t *testing.T
}

func (e expectsSomething) Delete(ctx context.Context, r kv.ResourceID, key string, expected int64) (int64, error) {
	if expected == 0 {
		e.t.Error("a delete that expects nothing")
	}
	return e.Store.Delete(ctx, r, key, expected)
}

// TestUpdateOfSomethingGone by a caller who thinks it is there.
func TestUpdateOfSomethingGone(t *testing.T) {
	s := newTestStore(t, newDB(t))
	ctx := context.Background()
	p := mustCreate(t, s, pod("a"))
	mustDelete(t, s, "a")
	for _, ignoreNotFound := range []bool{false, true} {
		rounds := 0
		out := &example.Pod{}
		err := s.GuaranteedUpdate(ctx, podKey("a"), out, ignoreNotFound, nil, storage.SimpleUpdate(func(obj runtime.Object) (runtime.Object, error) {
			if rounds++; rounds > 2 {
				return nil, errors.New("again")
			}
			return pod(fmt.Sprint(obj.(*example.Pod).Name, "-", rounds)), nil
		}), p.DeepCopy())
		switch {
		case !ignoreNotFound && !storage.IsNotFound(err):
			t.Errorf("got %v", err)
		case ignoreNotFound && (err != nil || out.Name != "-2"):
			t.Errorf("created %q, %v", out.Name, err)
		}
	}
}
