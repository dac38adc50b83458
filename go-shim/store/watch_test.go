package store

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/utils/ptr"

	"github.com/libstorage/go-shim/kv"
)

func TestWatchWithoutNewFunc(t *testing.T) {
	s := newTestStore(t, newDB(t), func(o *Options) { o.NewFunc = nil })
	w, err := s.Watch(context.Background(), "/pods", storage.ListOptions{ProgressNotify: true, Predicate: storage.Everything})
	if !apierrors.IsInternalError(err) || w != nil {
		t.Errorf("got %v, %v", w, err)
	}
}

func TestWatchListFromTheFuture(t *testing.T) {
	s := newTestStore(t, newDB(t))
	w := mustWatch(t, s, "102", func(o *storage.ListOptions) {
		o.SendInitialEvents = ptr.To(true)
		o.Predicate.AllowWatchBookmarks = true
	})
	event := next(t, w)
	status, ok := event.Object.(*metav1.Status)
	if event.Type != watch.Error || !ok {
		t.Fatalf("got %s", describe(event))
	}
	if err := apierrors.FromObject(status); !storage.IsTooLargeResourceVersion(err) || status.Details.RetryAfterSeconds < 1 {
		t.Errorf("got %v", status)
	}
	ended(t, w)
}

// TestWatchFromTheFuture: without initial events it just waits.
func TestWatchFromTheFuture(t *testing.T) {
	s := newTestStore(t, newDB(t))
	first := mustCreate(t, s, pod("first"))
	w := mustWatch(t, s, fmt.Sprint(revision(t, first.ResourceVersion)+1))
	mustCreate(t, s, pod("skipped"))
	quiet(t, w, 100*time.Millisecond)
	want := mustCreate(t, s, pod("seen"))
	if got := describe(next(t, w)); got != "ADDED seen@"+want.ResourceVersion {
		t.Errorf("got %s", got)
	}
}

// TestErrorEventDoesNotBlock: with a full buffer the last event waits for the
// reader, and a cancelled context frees it.
func TestErrorEventDoesNotBlock(t *testing.T) {
	s := newTestStore(t, newDB(t))
	for i := range resultBuffer {
		mustCreate(t, s, pod(fmt.Sprint(i)))
	}
	restore := storeUnderTest{s}.setTransformer(&failOn{s.transformer, "broken"})
	defer restore()
	mustCreate(t, s, pod("broken"))
	ctx, cancel := context.WithCancel(context.Background())
	opts := all()
	opts.ResourceVersion = "1"
	w, err := s.Watch(ctx, "/pods", opts)
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, "a full buffer", func() bool { return len(w.ResultChan()) == resultBuffer })
	cancel()
	waitFor(t, "the end of the goroutine", func() bool { return s.watches.count() == 0 })
}

// TestErrorEndsTheWatch: nothing overtakes it, and what came before is there.
func TestErrorEndsTheWatch(t *testing.T) {
	for name, events := range map[string]int{"one by one": 3, "on several cores": 4 * parallelRows} {
		t.Run(name, func(t *testing.T) {
			s := newTestStore(t, newDB(t))
			restore := storeUnderTest{s}.setTransformer(&failOn{s.transformer, "broken"})
			defer restore()
			for i := range events {
				name := fmt.Sprint(i)
				if i == events/2 {
					name = "broken"
				}
				mustCreate(t, s, pod(name))
			}
			w := mustWatch(t, s, "1")
			for i := range events / 2 {
				if got := podOf(next(t, w)).Name; got != fmt.Sprint(i) {
					t.Fatalf("event %d is of %s", i, got)
				}
			}
			event := next(t, w)
			if status, ok := event.Object.(*metav1.Status); !ok || event.Type != watch.Error || status.Code != http.StatusInternalServerError {
				t.Fatalf("got %s", describe(event))
			}
			ended(t, w)
		})
	}
}

// TestInitialEventsAreASnapshot: what is created while the pages are read comes
// after them, once.
func TestInitialEventsAreASnapshot(t *testing.T) {
	db := &afterList{Store: newDB(t)}
	s := newTestStore(t, db)
	const pods = 2*firstPage + 3
	for i := range pods {
		mustCreate(t, s, pod(fmt.Sprintf("pod-%04d", i)))
	}
	created := 0
	db.do = func() { // sorts first and last
		created++
		mustCreate(t, s, pod(fmt.Sprintf("a-%04d", created)))
		mustCreate(t, s, pod(fmt.Sprintf("z-%04d", created)))
	}
	w := mustWatch(t, s, "0")
	var names []string
	for range pods {
		event := next(t, w)
		if event.Type != watch.Added {
			t.Fatalf("got %s", describe(event))
		}
		names = append(names, podOf(event).Name)
	}
	if !slices.IsSorted(names) || names[0] != "pod-0000" || names[pods-1] != fmt.Sprintf("pod-%04d", pods-1) {
		t.Errorf("initial events from %s to %s", names[0], names[pods-1])
	}
	db.mu.Lock()
	lists, want := db.lists, 2*created
	db.mu.Unlock()
	if lists < 3 {
		t.Errorf("%d pages", lists)
	}
	for i := range want {
		if got := podOf(next(t, w)).Name; !strings.HasPrefix(got, "a-") && !strings.HasPrefix(got, "z-") {
			t.Errorf("event %d after the pages is of %s", i, got)
		}
	}
	quiet(t, w, 50*time.Millisecond)
}

// TestSelectorTransitions with an expiry at the end.
func TestSelectorTransitions(t *testing.T) {
	s := newTestStore(t, newDB(t))
	w := mustWatch(t, s, "1", func(o *storage.ListOptions) {
		o.Predicate = storage.SelectionPredicate{
			Label: labels.SelectorFromSet(labels.Set{"on": "yes"}), Field: fields.Everything(), GetAttrs: podAttrs,
		}
	})
	label := func(value string) func(*example.Pod) {
		return func(p *example.Pod) { p.Labels = map[string]string{"on": value} }
	}
	mustCreate(t, s, pod("a"))
	into := mustUpdate(t, s, "a", label("yes"))
	within := mustUpdate(t, s, "a", func(p *example.Pod) { p.Spec.NodeName = "n" })
	out := mustUpdate(t, s, "a", label("no"))
	again := mustUpdate(t, s, "a", label("yes"))
	gone := mustDelete(t, s, "a")
	for _, want := range []struct {
		kind watch.EventType
		rv   string
		node string
	}{
		{watch.Added, into.ResourceVersion, ""},
		{watch.Modified, within.ResourceVersion, "n"},
		{watch.Deleted, out.ResourceVersion, "n"}, // as it was, at the revision of the change
		{watch.Added, again.ResourceVersion, "n"},
		{watch.Deleted, gone.ResourceVersion, "n"},
	} {
		event := next(t, w)
		p := podOf(event)
		if event.Type != want.kind || p.ResourceVersion != want.rv || p.Spec.NodeName != want.node || p.Labels["on"] != "yes" {
			t.Errorf("got %s %v, want %v", describe(event), p.Labels, want)
		}
	}
	expiring := pod("b")
	label("yes")(expiring)
	if err := s.Create(context.Background(), podKey("b"), expiring, nil, 1); err != nil {
		t.Fatal(err)
	}
	if event := next(t, w); event.Type != watch.Added {
		t.Errorf("got %s", describe(event))
	}
	if event := next(t, w); event.Type != watch.Deleted || podOf(event).Name != "b" {
		t.Errorf("got %s", describe(event))
	}
}

// TestNoGoroutineIsLeft after watches ended in every way.
func TestNoGoroutineIsLeft(t *testing.T) {
	s := newTestStore(t, newDB(t), func(o *Options) { o.ProgressInterval = time.Millisecond })
	mustCreate(t, s, pod("a"))
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for i := range 20 {
		for _, rv := range []string{"0", "1", "100"} {
			opts := all()
			opts.ResourceVersion, opts.ProgressNotify = rv, i%2 == 0
			opts.Predicate.AllowWatchBookmarks = i%3 == 0
			w, err := s.Watch(ctx, "/pods", opts)
			if err != nil {
				t.Fatal(err)
			}
			if i%4 == 0 {
				w.Stop()
			}
		}
	}
	mustCreate(t, s, pod("b"))
	cancel()
	waitFor(t, "the end of the watches", func() bool {
		var stacks strings.Builder
		_ = pprof.Lookup("goroutine").WriteTo(&stacks, 1)
		return !strings.Contains(stacks.String(), "(*watcher)")
	})
	if n := s.watches.count(); n != 0 {
		t.Errorf("%d watches are counted", n)
	}
}

// TestStopEndsAtOnce: what is left is delivered, and no time is waited for more.
func TestStopEndsAtOnce(t *testing.T) {
	s := newTestStore(t, newDB(t))
	p := mustCreate(t, s, pod("a"))
	fastest := time.Hour
	for range 10 {
		w := mustWatch(t, s, "1")
		w.Stop()
		start := time.Now()
		if got := describe(next(t, w)); got != "ADDED a@"+p.ResourceVersion {
			t.Errorf("got %s", got)
		}
		ended(t, w)
		fastest = min(fastest, time.Since(start))
	}
	if fastest > drainTime/2 {
		t.Errorf("took %v", fastest)
	}
}

// TestCloseEndsWatches: without an error event, so that clients come back at once.
func TestCloseEndsWatches(t *testing.T) {
	s := newTestStore(t, newDB(t))
	w := mustWatch(t, s, "1")
	s.Close()
	ended(t, w)
	if _, err := s.Watch(context.Background(), "/pods", all()); !apierrors.IsServiceUnavailable(err) {
		t.Errorf("a watch of a closed store: %v", err)
	}
}

// TestWatchFailures: what the engine says of a watch reaches its reader.
func TestWatchFailures(t *testing.T) {
	for name, tc := range map[string]struct {
		err  error
		want metav1.StatusReason
	}{
		"too old":  {&kv.Error{Code: kv.CodeCompacted}, metav1.StatusReasonExpired},
		"too slow": {&kv.Error{Code: kv.CodeSlowConsumer}, metav1.StatusReasonTooManyRequests},
		"outage":   {&kv.Error{Code: kv.CodeUnavailable}, metav1.StatusReasonServiceUnavailable},
		"odd":      {errors.New("odd"), metav1.StatusReasonInternalError},
	} {
		t.Run(name, func(t *testing.T) {
			s := newTestStore(t, &failingWatch{Store: newDB(t), err: tc.err})
			w := mustWatch(t, s, "1")
			event := next(t, w)
			if status, ok := event.Object.(*metav1.Status); !ok || status.Reason != tc.want {
				t.Errorf("got %s", describe(event))
			}
			ended(t, w)
		})
	}
	s := newTestStore(t, &failingWatch{Store: newDB(t), err: kv.ErrClosed})
	ended(t, mustWatch(t, s, "1"))
}
