package store

import (
	"context"
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc/metadata"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/utils/ptr"
)

func allowBookmarks(o *storage.ListOptions) { o.Predicate.AllowWatchBookmarks = true }
func wantProgress(o *storage.ListOptions)   { o.ProgressNotify = true }

// wantBookmark is the next event, not older than at, and empty but for that.
func wantBookmark(t *testing.T, w watch.Interface, at string) {
	t.Helper()
	event := next(t, w)
	p, ok := event.Object.(*example.Pod)
	if event.Type != watch.Bookmark || !ok || p.Name != "" || revision(t, p.ResourceVersion) < revision(t, at) {
		t.Fatalf("got %s, want a bookmark of %s or later", describe(event), at)
	}
}

// TestQuietWatchGetsBookmarks: a client that sees no events must not fall behind
// what is compacted.
func TestQuietWatchGetsBookmarks(t *testing.T) {
	s := newTestStore(t, newDB(t), func(o *Options) { o.BookmarkInterval = 50 * time.Millisecond })
	takes := mustWatch(t, s, "1", allowBookmarks, func(o *storage.ListOptions) { o.Predicate.Field = fieldNode("elsewhere") })
	plain := mustWatch(t, s, "1", func(o *storage.ListOptions) { o.Predicate.Field = fieldNode("elsewhere") })
	p := mustCreate(t, s, pod("a"))
	waitFor(t, "bookmark of the new revision", func() bool {
		event := next(t, takes)
		if event.Type != watch.Bookmark {
			t.Fatalf("got %s", describe(event))
		}
		return revision(t, podOf(event).ResourceVersion) >= revision(t, p.ResourceVersion)
	})
	wantBookmark(t, takes, p.ResourceVersion) // and again, with nothing new
	quiet(t, plain, 10*time.Millisecond)
}

// TestBusyWatchGetsNoBookmarks: events say the same.
func TestBusyWatchGetsNoBookmarks(t *testing.T) {
	const interval = time.Second
	s := newTestStore(t, newDB(t), func(o *Options) { o.BookmarkInterval = interval })
	w := mustWatch(t, s, "1", allowBookmarks)
	start := time.Now()
	for i, last := 0, start; time.Since(start) < 3*interval/2; i++ {
		mustCreate(t, s, pod(fmt.Sprint(i)))
		event := next(t, w)
		if event.Type != watch.Added && time.Since(last) < interval/2 { // else the machine was busy
			t.Fatalf("got %s", describe(event))
		}
		last = time.Now()
		time.Sleep(20 * time.Millisecond)
	}
}

// TestBookmarkBeforeDeadline: a client whose watch times out gets a version to
// come back with.
func TestBookmarkBeforeDeadline(t *testing.T) {
	s := newTestStore(t, newDB(t))
	ctx, cancel := context.WithTimeout(context.Background(), beforeDeadline+100*time.Millisecond)
	defer cancel()
	opts := all()
	opts.ResourceVersion = "1"
	allowBookmarks(&opts)
	w, err := s.Watch(ctx, "/pods/other", opts)
	if err != nil {
		t.Fatal(err)
	}
	p := mustCreate(t, s, pod("a"))
	wantBookmark(t, w, p.ResourceVersion)
	ended(t, w)
}

func TestRequestWatchProgress(t *testing.T) {
	s := newTestStore(t, newDB(t), func(o *Options) { o.ProgressInterval = time.Hour })
	caches := mustWatch(t, s, "1", wantProgress, func(o *storage.ListOptions) { o.Predicate.Field = fieldNode("elsewhere") })
	plain := mustWatch(t, s, "1", func(o *storage.ListOptions) { o.Predicate.Field = fieldNode("elsewhere") })
	other := metadata.NewOutgoingContext(context.Background(), metadata.Pairs("source", "other"))
	opts := all()
	opts.ResourceVersion, opts.ProgressNotify = "1", true
	elsewhere, err := s.Watch(other, "/pods/elsewhere", opts)
	if err != nil {
		t.Fatal(err)
	}
	defer elsewhere.Stop()
	p := mustCreate(t, s, pod("a"))
	for range 3 { // also when there is nothing new
		if err := s.RequestWatchProgress(context.Background()); err != nil {
			t.Fatal(err)
		}
		wantBookmark(t, caches, p.ResourceVersion)
	}
	quiet(t, plain, 20*time.Millisecond)
	quiet(t, elsewhere, 20*time.Millisecond)
	if err := s.RequestWatchProgress(other); err != nil {
		t.Fatal(err)
	}
	wantBookmark(t, elsewhere, p.ResourceVersion)
	quiet(t, caches, 20*time.Millisecond)
}

// TestProgressDuringInitialEvents: asked for before the watch has a feed.
func TestProgressDuringInitialEvents(t *testing.T) {
	db := &afterList{Store: newDB(t)}
	s := newTestStore(t, db, func(o *Options) { o.ProgressInterval = time.Hour })
	p := mustCreate(t, s, pod("a"))
	db.do = func() { _ = s.RequestWatchProgress(context.Background()) }
	w := mustWatch(t, s, "0", wantProgress)
	if event := next(t, w); event.Type != watch.Added {
		t.Fatalf("got %s", describe(event))
	}
	wantBookmark(t, w, p.ResourceVersion)
}

// TestBookmarksNeverGoBack, and never overtake an event.
func TestBookmarksNeverGoBack(t *testing.T) {
	s := newTestStore(t, newDB(t), func(o *Options) { o.BookmarkInterval = time.Millisecond })
	w := mustWatch(t, s, "", allowBookmarks, func(o *storage.ListOptions) { o.SendInitialEvents = ptr.To(true) })
	const events = 300
	go func() {
		for i := range events {
			out := &example.Pod{}
			name := string(rune('a'+i%26)) + string(rune('a'+i/26))
			if err := s.Create(context.Background(), podKey(name), pod(name), out, 0); err != nil {
				t.Errorf("create: %v", err)
			}
			if i%10 == 0 {
				time.Sleep(3 * time.Millisecond)
			}
		}
	}()
	var last int64
	bookmarks := 0
	for seen := 0; seen < events; {
		event := next(t, w)
		rev := revision(t, podOf(event).ResourceVersion)
		if event.Type == watch.Bookmark {
			bookmarks++
			if rev < last {
				t.Fatalf("bookmark %d after %d", rev, last)
			}
		} else {
			seen++
			if rev <= last {
				t.Fatalf("%s after %d", describe(event), last)
			}
		}
		last = rev
	}
	if bookmarks < 2 {
		t.Errorf("%d bookmarks", bookmarks)
	}
}
