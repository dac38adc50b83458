//go:build cgo

package native

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libstorage/go-shim/kv"
)

var background = context.Background()

func TestVerbs(t *testing.T) {
	onEach(t, func(t *testing.T, s *Store, pods kv.ResourceID) {
		first := mustPut(t, s, pods, podKey(1), "one", 0)
		r, err := s.Get(background, pods, podKey(1), kv.ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		wantValue(t, r.KVs[0].Value, "one")
		wantValue(t, r.KVs[0].Key, podKey(1))
		if r.KVs[0].ModRevision != first || r.KVs[0].CreateRevision != first || r.Revision < first {
			t.Errorf("revisions %+v", r)
		}
		r.Release()
		r.Release() // harmless

		second := mustPut(t, s, pods, podKey(1), "", first)
		r, err = s.Get(background, pods, podKey(1), kv.ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if v := r.KVs[0].Value; v == nil || len(v) != 0 {
			t.Errorf("an empty value came back as %#v", v)
		}
		r.Release()
		if rev, err := s.Delete(background, pods, podKey(1), second); err != nil || rev != second+1 {
			t.Errorf("delete: %d, %v", rev, err)
		}
		e := wantCode(t, errOf(s.Get(background, pods, podKey(1), kv.ReadOptions{})), kv.CodeNotFound)
		if e.Revision != second+1 {
			t.Errorf("not found at %d, want %d", e.Revision, second+1)
		}
		rev, err := s.CurrentRevision(background, pods)
		if err != nil || rev != second+1 {
			t.Errorf("current revision %d, %v; want %d", rev, err, second+1)
		}
	})
}

func errOf[T any](_ T, err error) error { return err }

func TestConflictsCarryTheCurrentObject(t *testing.T) {
	onEach(t, func(t *testing.T, s *Store, pods kv.ResourceID) {
		first := mustPut(t, s, pods, podKey(1), "one", 0)
		second := mustPut(t, s, pods, podKey(1), "two", first)
		for _, test := range []struct {
			err  error
			code kv.Code
		}{
			{errOf(s.Put(background, pods, podKey(1), []byte("x"), kv.PutOptions{})), kv.CodeExists},
			{errOf(s.Put(background, pods, podKey(1), []byte("x"), kv.PutOptions{Expected: first})), kv.CodeConflict},
			{errOf(s.Delete(background, pods, podKey(1), first)), kv.CodeConflict},
		} {
			e := wantCode(t, test.err, test.code)
			if e.Current == nil || len(e.Current.KVs) != 1 {
				t.Fatalf("no current object in %v", e)
			}
			wantValue(t, e.Current.KVs[0].Value, "two")
			wantValue(t, e.Current.KVs[0].Key, podKey(1))
			if e.Current.KVs[0].ModRevision != second {
				t.Errorf("current revision %d, want %d", e.Current.KVs[0].ModRevision, second)
			}
			e.Current.Release()
		}
		e := wantCode(t, errOf(s.Put(background, pods, podKey(2), nil, kv.PutOptions{Expected: 7})), kv.CodeNotFound)
		if e.Current != nil {
			t.Error("a current object of an absent key")
		}
		mustPut(t, s, pods, podKey(1), "forced", kv.AnyRevision)
	})
}

func TestReleasedResultsArePoisoned(t *testing.T) {
	onEach(t, func(t *testing.T, s *Store, pods kv.ResourceID) {
		mustPut(t, s, pods, podKey(1), "secret", 0)
		r, err := s.Get(background, pods, podKey(1), kv.ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		stale := r.KVs[0].Value
		r.Release()
		wantValue(t, stale, strings.Repeat("\xdd", len("secret")))
		w, err := s.Watch(background, pods, "/registry/pods/", podsEnd, 1)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		batch := next(t, w)
		stale = batch.Events[0].Value
		wantValue(t, stale, "secret")
		batch.Release()
		wantValue(t, stale, strings.Repeat("\xdd", len("secret")))
	})
}

func TestListCountAndHistory(t *testing.T) {
	onEach(t, func(t *testing.T, s *Store, pods kv.ResourceID) {
		var last int64
		for i := range 10 {
			last = mustPut(t, s, pods, podKey(i), "old", 0)
		}
		for i := range 10 {
			mustPut(t, s, pods, podKey(i), "new", kv.AnyRevision)
		}
		page, err := s.List(background, pods, podKey(2), podsEnd, kv.ReadOptions{Limit: 3, WantRemaining: true})
		if err != nil {
			t.Fatal(err)
		}
		if len(page.KVs) != 3 || !page.More || page.Remaining != 5 || string(page.KVs[2].Key) != podKey(4) {
			t.Errorf("page %+v", page)
		}
		page.Release()
		old, err := s.List(background, pods, "/registry/pods/", podsEnd, kv.ReadOptions{Revision: last, Exact: true})
		if err != nil {
			t.Fatal(err)
		}
		if old.Revision != last || len(old.KVs) != 10 || old.More {
			t.Errorf("list at %d: %+v", last, old)
		}
		for i, row := range old.KVs {
			wantValue(t, row.Key, podKey(i))
			wantValue(t, row.Value, "old")
		}
		old.Release()
		empty, err := s.List(background, pods, "/registry/pods/zz", podsEnd, kv.ReadOptions{})
		if err != nil || len(empty.KVs) != 0 || empty.More {
			t.Errorf("empty list %+v, %v", empty, err)
		}
		empty.Release()
		if n, err := s.Count(background, pods, "/registry/pods/", podsEnd); err != nil || n != 10 {
			t.Errorf("count %d, %v", n, err)
		}
		if err := s.Compact(background, last+1); err != nil {
			t.Fatal(err)
		}
		e := wantCode(t, errOf(s.List(background, pods, "/registry/pods/", podsEnd,
			kv.ReadOptions{Revision: last, Exact: true})), kv.CodeCompacted)
		if e.Floor != last+1 {
			t.Errorf("floor %d, want %d", e.Floor, last+1)
		}
		e = wantCode(t, errOf(s.Get(background, pods, podKey(1), kv.ReadOptions{Revision: last + 1000})),
			kv.CodeFutureRevision)
		if e.Revision != last+10 {
			t.Errorf("future revision told %d as the current one, want %d", e.Revision, last+10)
		}
	})
}

func TestInvalidArguments(t *testing.T) {
	onEach(t, func(t *testing.T, s *Store, pods kv.ResourceID) {
		wantCode(t, errOf(s.Get(background, 999, "/x", kv.ReadOptions{})), kv.CodeInvalid)
		wantCode(t, errOf(s.List(background, -1, "/x", "", kv.ReadOptions{})), kv.CodeInvalid)
		wantCode(t, errOf(s.Watch(background, 999, "", "", 0)), kv.CodeInvalid)
		wantCode(t, errOf(s.Put(background, pods, "", nil, kv.PutOptions{})), kv.CodeInvalid)
		wantCode(t, errOf(s.Put(background, pods, podKey(1), make([]byte, 2<<20), kv.PutOptions{})), kv.CodeTooLarge)
		wantCode(t, errOf(s.Register(kv.Resource{Resource: "x", KeyPrefix: "no-slash"})), kv.CodeInvalid)
		again, err := s.Register(podsResource)
		if err != nil || again != pods {
			t.Errorf("registered again: %d, %v", again, err)
		}
		binary := podKey(1) + "\x00\xff"
		mustPut(t, s, pods, binary, "\x00\x01", 0)
		r, err := s.Get(background, pods, binary, kv.ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		wantValue(t, r.KVs[0].Key, binary)
		wantValue(t, r.KVs[0].Value, "\x00\x01")
		r.Release()
	})
}

func TestHealthAndInformation(t *testing.T) {
	onEach(t, func(t *testing.T, s *Store, pods kv.ResourceID) {
		for _, name := range append(s.Backends(), "engine", "metadata") {
			if err := s.Check(name); err != nil {
				t.Errorf("check %s: %v", name, err)
			}
		}
		if err := s.Check("nothing"); err == nil {
			t.Error("an unknown check is healthy")
		}
		if len(s.Backends()) == 0 {
			t.Error("no backends")
		}
		stats, err := s.StatsJSON()
		if err != nil {
			t.Fatal(err)
		}
		var parsed struct {
			Buffers struct {
				Purposes map[string]struct{ Bytes, Count int64 }
			}
			Operations map[string]int64
		}
		if err := json.Unmarshal(stats, &parsed); err != nil {
			t.Fatalf("%v in %s", err, stats)
		}
		if len(parsed.Buffers.Purposes) != 7 || len(parsed.Operations) == 0 {
			t.Errorf("stats %s", stats)
		}
		layout, err := s.LayoutJSON()
		if err != nil || !json.Valid(layout) {
			t.Errorf("layout %s, %v", layout, err)
		}
		if !strings.Contains(Version(), "(") {
			t.Errorf("version %q", Version())
		}
	})
}

func TestOpenErrors(t *testing.T) {
	_, err := Open(Options{DefaultEndpoint: "nonsense://x"})
	wantCode(t, err, kv.CodeInvalid)
	_, err = Open(Options{DefaultEndpoint: "sqlite:///proc/no/such/file.db"})
	var e *kv.Error
	if !errors.As(err, &e) || e.Message == "" {
		t.Errorf("open of an impossible file: %v", err)
	}
	_, err = Open(Options{BufferBudgetBytes: -1})
	wantCode(t, err, kv.CodeInvalid)
}

func TestCloseEndsEverythingAndKeepsResults(t *testing.T) {
	for name, options := range endpoints {
		t.Run(name, func(t *testing.T) {
			s, pods := openStore(t, options(t))
			mustPut(t, s, pods, podKey(1), "still here", 0)
			held, err := s.Get(background, pods, podKey(1), kv.ReadOptions{})
			if err != nil {
				t.Fatal(err)
			}
			w, err := s.Watch(background, pods, "/registry/pods/", podsEnd, 0)
			if err == nil {
				defer w.Close()
			}
			var callers sync.WaitGroup
			for i := range 50 {
				callers.Add(1)
				go func() {
					defer callers.Done()
					for {
						_, err := s.Put(background, pods, podKey(100+i), []byte("x"), kv.PutOptions{Expected: kv.AnyRevision})
						if errors.Is(err, kv.ErrClosed) {
							return
						}
						if err != nil {
							t.Errorf("put during close: %v", err)
							return
						}
					}
				}()
			}
			time.Sleep(20 * time.Millisecond)
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			callers.Wait()
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if err := errOf(s.Get(background, pods, podKey(1), kv.ReadOptions{})); !errors.Is(err, kv.ErrClosed) {
				t.Errorf("get after close: %v", err)
			}
			if err := s.Check("engine"); !errors.Is(err, kv.ErrClosed) {
				t.Errorf("check after close: %v", err)
			}
			wantValue(t, held.KVs[0].Value, "still here")
			held.Release()
			if s.refs.Load() != 0 || s.OutstandingForTest() != 0 {
				t.Errorf("%d references, %d results are left", s.refs.Load(), s.OutstandingForTest())
			}
		})
	}
}

func TestReopenKeepsData(t *testing.T) {
	options := endpoints["sqlite"](t)
	var logged sync.Map
	options.Log = func(level LogLevel, message string) { logged.Store(message, level) }
	s, pods := openStore(t, options)
	rev := mustPut(t, s, pods, podKey(1), "kept", 0)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, pods = openStore(t, options)
	r, err := s.Get(background, pods, podKey(1), kv.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	wantValue(t, r.KVs[0].Value, "kept")
	r.Release()
	if next := mustPut(t, s, pods, podKey(2), "next", 0); next != rev+1 {
		t.Errorf("revision %d after reopening, want %d", next, rev+1)
	}
	_, err = Open(options)
	var e *kv.Error
	if !errors.As(err, &e) {
		t.Errorf("a second writer on the files: %v", err)
	}
}
