package failover

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
)

// seedsIn: a list has every object that has been there from the beginning.
func seedsIn(items []example.Pod, kind, namespace string) error {
	want := objects
	if kind == splitKind && namespace == "" {
		want *= len(namespaceIn)
	}
	seeds := 0
	for _, item := range items {
		if strings.HasPrefix(item.Name, "seed-") {
			seeds++
		}
	}
	if seeds != want {
		return fmt.Errorf("%d of %d objects of %s %s", seeds, want, kind, namespace)
	}
	return nil
}

// afterwards everything is served again, by itself, and a write that was refused with
// 503 was not done.
func (w *world) afterwards(t *testing.T, unknown *sync.Map) {
	begin := time.Now()
	for home, kind := range kindIn {
		awaitService(t, func() error { return w.get(kind, "ns", "seed-00") })
		awaitService(t, func() error { return w.get(splitKind, namespaceIn[home], "seed-00") })
		awaitService(t, func() error { return w.update(kind, "ns", "seed-00") })
		awaitService(t, func() error { return w.update(splitKind, namespaceIn[home], "seed-00") })
	}
	t.Logf("everything is served %s later", time.Since(begin).Round(time.Millisecond))
	for home, kind := range kindIn {
		w.undo(t, kind, "ns", unknown)
		w.undo(t, splitKind, namespaceIn[home], unknown)
	}
	for _, kind := range append([]string{splitKind}, values(kindIn)...) {
		if err := w.complete(kind, ""); err != nil {
			t.Errorf("at the end: %v", err)
		}
	}
}

func awaitService(t *testing.T, do func() error) {
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		err := do()
		switch {
		case err == nil:
			return
		case time.Since(begin) > resumeLimit:
			t.Fatalf("not served within %s: %v", resumeLimit, err)
		}
	}
}

// undo what calls without an answer did; others did nothing.
func (w *world) undo(t *testing.T, kind, namespace string, unknown *sync.Map) {
	at := kind + " in " + namespace
	if err := w.remove(kind, namespace, "never"); err == nil {
		if _, maybe := unknown.Load("create " + at); !maybe {
			t.Errorf("create %s: every time it was refused, and was done", at)
		}
	} else if !storage.IsNotFound(err) {
		t.Error(err)
	}
	if err := w.create(kind, namespace, "seed-02"); err == nil {
		if _, maybe := unknown.Load("delete " + at); !maybe {
			t.Errorf("delete %s: every time it was refused, and was done", at)
		}
	} else if !storage.IsExist(err) {
		t.Error(err)
	}
}
