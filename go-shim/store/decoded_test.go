package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
)

// countingCodec counts what is decoded.
type countingCodec struct {
	runtime.Codec
	decodes atomic.Int64
}

func (c *countingCodec) Decode(data []byte, gvk *schema.GroupVersionKind, into runtime.Object) (runtime.Object, *schema.GroupVersionKind, error) {
	c.decodes.Add(1)
	return c.Codec.Decode(data, gvk, into)
}

func withCodec(c *countingCodec) func(*Options) {
	return func(o *Options) {
		c.Codec = o.Codec
		o.Codec = c
	}
}

// TestChangesAreDecodedOnce for the writer and ten watches, and each gets its own.
func TestChangesAreDecodedOnce(t *testing.T) {
	codec := &countingCodec{}
	s := newTestStore(t, newDB(t), withCodec(codec))
	var watches []watch.Interface
	for range 10 {
		watches = append(watches, mustWatch(t, s, "1"))
	}
	const creates = 20
	seen := map[*example.Pod]bool{}
	for i := range creates {
		seen[mustCreate(t, s, pod(fmt.Sprint(i)))] = true
	}
	deleted := mustDelete(t, s, "0")
	seen[deleted] = true
	for _, w := range watches {
		for i := range creates {
			p := next(t, w).Object.(*example.Pod)
			if seen[p] || p.Name != fmt.Sprint(i) || p.Labels["mine"] != "" {
				t.Fatalf("event %d: %s, known %v, labels %v", i, p.Name, seen[p], p.Labels)
			}
			seen[p] = true
			p.Labels = map[string]string{"mine": "yes"} // nobody else sees that
			p.OwnerReferences = nil
		}
		event := next(t, w)
		if p := podOf(event); event.Type != watch.Deleted || p.ResourceVersion != deleted.ResourceVersion {
			t.Fatalf("got %s", describe(event))
		}
	}
	// The delete decodes what it reads and what it answers.
	if got := codec.decodes.Load(); got != creates+2 {
		t.Errorf("%d decodes for %d writes", got, creates+1)
	}
}

// TestOldEventsAreDecodedOnce: also when no writer has published them, and with
// selectors, which need the object from before.
func TestOldEventsAreDecodedOnce(t *testing.T) {
	codec := &countingCodec{}
	s := newTestStore(t, newDB(t), withCodec(codec))
	const updates = 30
	mustCreate(t, s, pod("a"))
	for i := range updates {
		mustUpdate(t, s, "a", func(p *example.Pod) { p.Spec.NodeName = fmt.Sprint(i) })
	}
	s.decoded.clear()
	codec.decodes.Store(0)
	var wg sync.WaitGroup
	for range 10 {
		w := mustWatch(t, s, "1", func(o *storage.ListOptions) {
			o.Predicate.Label, o.Predicate.Field = labels.Nothing(), fieldNode("29")
		})
		wg.Add(1)
		go func() {
			defer wg.Done()
			quiet(t, w, 300*time.Millisecond)
		}()
	}
	wg.Wait()
	// 31 events, of which 30 have an object from before. A watch that came first
	// when it was alone decodes for itself, and so does one that waited too long.
	if got, want := codec.decodes.Load(), int64(2*updates+1); got < want || got > 4*want {
		t.Errorf("%d decodes for %d objects", got, want)
	}
}

// TestOneWatchKeepsNothing: what nobody else will ask for is not kept.
func TestOneWatchKeepsNothing(t *testing.T) {
	s := newTestStore(t, newDB(t))
	mustCreate(t, s, pod("a"))
	w := mustWatch(t, s, "1")
	next(t, w)
	s.decoded.mu.Lock()
	defer s.decoded.mu.Unlock()
	if n := len(s.decoded.entries); n != 0 {
		t.Errorf("%d objects are kept", n)
	}
}

func TestDecodeCacheIsBounded(t *testing.T) {
	var c decodeCache
	defer c.clear()
	publish := func(rev int64, size int) {
		c.settle(c.announce("/a", sideNew, make([]byte, size), pod("a")), rev)
	}
	for i := range 3 * keepEntries {
		publish(int64(i+1), 10)
	}
	if n := len(c.entries); n != keepEntries {
		t.Errorf("%d entries, want %d", n, keepEntries)
	}
	publish(1e6, keepBytes+1)
	if n := len(c.entries); n != 0 || c.bytes != 0 {
		t.Errorf("%d entries of %d bytes after one that is too large", n, c.bytes)
	}
	publish(1e6+1, 10)
	waitFor(t, "end of old entries", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.entries) == 0 && c.sweeper == nil
	})
}

// TestDecodeErrorIsNobodyElses: a failure is not kept, those who waited for it
// try themselves, and nobody waits long.
func TestDecodeErrorIsNobodyElses(t *testing.T) {
	registerMetrics()
	var c decodeCache
	defer c.clear()
	ctx := context.Background()
	entered, leave := make(chan struct{}), make(chan struct{})
	failed := make(chan error)
	go func() {
		_, err := c.get(ctx, decodeKey{1, sideNew}, []byte("/a"), []byte("{}"), true, func() (runtime.Object, error) {
			close(entered)
			<-leave
			return nil, errors.New("no")
		})
		failed <- err
	}()
	<-entered
	want := pod("a")
	decode := func() (runtime.Object, error) { return want, nil }
	got, err := c.get(ctx, decodeKey{1, sideNew}, []byte("/a"), []byte("{}"), true, decode) // the other one takes too long
	if err != nil || got.obj != want || got.kept != nil {
		t.Errorf("got %v, %v", got, err)
	}
	close(leave)
	if err := <-failed; err == nil {
		t.Error("no error for the one that failed")
	}
	got, err = c.get(ctx, decodeKey{1, sideNew}, []byte("/a"), []byte("{}"), true, decode)
	if err != nil || got.obj != want || got.kept == nil {
		t.Errorf("after a failure: %v, %v", got, err)
	}
}

// TestAnnouncements: who is first to know the revision, watch or writer, does not
// matter, and nobody changes what others may have.
func TestAnnouncements(t *testing.T) {
	ctx := context.Background()
	never := func() (runtime.Object, error) { return nil, errors.New("decoded") }
	look := func(c *decodeCache, rev int64, value string) (*example.Pod, error) {
		d, err := c.get(ctx, decodeKey{rev, sideNew}, []byte("/a"), []byte(value), false, never)
		if err != nil {
			return nil, err
		}
		return d.obj.(*example.Pod), nil
	}
	for name, tc := range map[string]struct {
		seen    int64 // revision of an event with the value, before the write is settled
		settled int64
		mine    bool // the object is that of the write
	}{
		"writer first":            {0, 7, true},
		"watch first":             {7, 7, true},
		"failed":                  {0, 0, false},
		"failed, equal elsewhere": {7, 0, false},
		"equal elsewhere":         {7, 9, false},
	} {
		t.Run(name, func(t *testing.T) {
			var c decodeCache
			defer c.clear()
			a := c.announce("/a", sideNew, []byte("value"), pod("a"))
			if _, err := look(&c, 6, "other value"); err == nil {
				t.Error("an event with another value got the object")
			}
			if tc.seen > 0 {
				if p, err := look(&c, tc.seen, "value"); err != nil || p.ResourceVersion != fmt.Sprint(tc.seen) {
					t.Errorf("the watch got %v, %v", p, err)
				}
			}
			if mine := c.settle(a, tc.settled); mine != tc.mine {
				t.Errorf("the writer may use it: %v", mine)
			}
			p, err := look(&c, 7, "value")
			if (err == nil) != (tc.seen == 7 || tc.settled == 7) || err == nil && p.ResourceVersion != "7" {
				t.Errorf("afterwards: %v, %v", p, err)
			}
			if len(c.announced) != 0 {
				t.Errorf("%d announcements are left", len(c.announced))
			}
		})
	}
}
