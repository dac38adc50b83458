//go:build cgo

package native

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libstorage/go-shim/kv"
)

var memoryNames atomic.Int64

var podsResource = kv.Resource{
	Resource: "pods", Kind: "Pod", Root: "/registry/", KeyPrefix: "/registry/pods/", Namespaced: true,
}

const podsEnd = "/registry/pods0"

// endpoints are what every test runs on.
var endpoints = map[string]func(t testing.TB) Options{
	"memory": func(testing.TB) Options {
		name := fmt.Sprintf("memory://native%d", memoryNames.Add(1))
		return Options{DefaultEndpoint: name, MetadataEndpoint: name + ".meta", AllowMemory: true}
	},
	"sqlite": func(t testing.TB) Options {
		return Options{DefaultEndpoint: "sqlite://" + filepath.Join(t.TempDir(), "native.db")}
	},
}

// onEach runs a test on every endpoint with a store of its own, and checks that
// nothing is left behind: no slab, no goroutine, no engine.
func onEach(t *testing.T, body func(t *testing.T, s *Store, pods kv.ResourceID)) {
	for name, options := range endpoints {
		t.Run(name, func(t *testing.T) {
			before := runtime.NumGoroutine()
			opts := options(t)
			opts.Poison = true // a view that outlives its release fails the test
			s, pods := openStore(t, opts)
			body(t, s, pods)
			if n := s.OutstandingForTest(); n != 0 {
				t.Errorf("%d results were not released", n)
			}
			checkNoSlabs(t, s)
			if err := s.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			if refs := s.refs.Load(); refs != 0 {
				t.Errorf("%d references to the engine are left", refs)
			}
			checkGoroutines(t, before)
		})
	}
}

func openStore(t testing.TB, opts Options) (*Store, kv.ResourceID) {
	t.Helper()
	s, err := Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	pods, err := s.Register(podsResource)
	if err != nil {
		t.Fatal(err)
	}
	return s, pods
}

// checkNoSlabs asks the engine itself: abandoned completions count too.
func checkNoSlabs(t testing.TB, s *Store) {
	t.Helper()
	want := `"get":{"bytes":0,"shared_bytes":0,"count":0},"list":{"bytes":0,"shared_bytes":0,"count":0},` +
		`"conflict":{"bytes":0,"shared_bytes":0,"count":0},"event":{"bytes":0,"shared_bytes":0,"count":0}`
	var text []byte
	for i := 0; i < 100; i++ { // the dispatcher may still be releasing what was abandoned
		var err error
		if text, err = s.info("buffers"); err != nil {
			t.Error(err)
			return
		}
		if strings.Contains(string(text), want) && strings.Contains(string(text), `"bad_releases":0`) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("slabs are left: %s", text)
}

func checkGoroutines(t testing.TB, before int) {
	t.Helper()
	for i := 0; i < 100; i++ {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	all := make([]byte, 1<<20)
	t.Errorf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, all[:runtime.Stack(all, true)])
}

func podKey(i int) string { return fmt.Sprintf("/registry/pods/ns/p%06d", i) }

func mustPut(t testing.TB, s *Store, pods kv.ResourceID, key, value string, expected int64) int64 {
	t.Helper()
	rev, err := s.Put(context.Background(), pods, key, []byte(value), kv.PutOptions{Expected: expected})
	if err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
	return rev
}

// wantCode also returns the error for a closer look.
func wantCode(t testing.TB, err error, code kv.Code) *kv.Error {
	t.Helper()
	var e *kv.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want an error with code %d", err, code)
	}
	if e.Code != code {
		t.Fatalf("got code %d (%v), want %d", e.Code, e, code)
	}
	if e.Message == "" {
		t.Errorf("code %d without a message", code)
	}
	return e
}

func wantValue(t testing.TB, got []byte, want string) {
	t.Helper()
	if !bytes.Equal(got, []byte(want)) {
		t.Fatalf("value %q, want %q", got, want)
	}
}
