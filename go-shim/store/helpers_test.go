package store

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
)

// soon bounds what should happen at once, on a machine that others use too.
const soon = 20 * time.Second

func pod(name string) *example.Pod {
	return &example.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}}
}

func podKey(name string) string { return "/pods/ns/" + name }

// mustCreate returns the pod as the store answered it.
func mustCreate(t testing.TB, s *Store, p *example.Pod) *example.Pod {
	t.Helper()
	out := &example.Pod{}
	if err := s.Create(context.Background(), podKey(p.Name), p.DeepCopy(), out, 0); err != nil {
		t.Fatalf("creating %s: %v", p.Name, err)
	}
	return out
}

// mustUpdate changes a pod.
func mustUpdate(t testing.TB, s *Store, name string, change func(*example.Pod)) *example.Pod {
	t.Helper()
	out := &example.Pod{}
	err := s.GuaranteedUpdate(context.Background(), podKey(name), out, false, nil,
		storage.SimpleUpdate(func(obj runtime.Object) (runtime.Object, error) {
			change(obj.(*example.Pod))
			return obj, nil
		}), nil)
	if err != nil {
		t.Fatalf("updating %s: %v", name, err)
	}
	return out
}

func mustDelete(t testing.TB, s *Store, name string) *example.Pod {
	t.Helper()
	out := &example.Pod{}
	err := s.Delete(context.Background(), podKey(name), out, nil, storage.ValidateAllObjectFunc, nil, storage.DeleteOptions{})
	if err != nil {
		t.Fatalf("deleting %s: %v", name, err)
	}
	return out
}

func mustList(t testing.TB, s storage.Interface, opts storage.ListOptions) *example.PodList {
	t.Helper()
	list := &example.PodList{}
	if err := s.GetList(context.Background(), "/pods", opts, list); err != nil {
		t.Fatalf("list: %v", err)
	}
	return list
}

// all selects everything below a key.
func all() storage.ListOptions {
	everything := storage.Everything
	everything.GetAttrs = podAttrs // for those who add a selector
	return storage.ListOptions{Predicate: everything, Recursive: true}
}

// mustWatch watches all pods, until the end of the test.
func mustWatch(t testing.TB, s storage.Interface, rv string, change ...func(*storage.ListOptions)) watch.Interface {
	t.Helper()
	opts := all()
	opts.ResourceVersion = rv
	for _, f := range change {
		f(&opts)
	}
	w, err := s.Watch(context.Background(), "/pods", opts)
	if err != nil {
		t.Fatalf("watch: %v", err)
	}
	t.Cleanup(w.Stop)
	return w
}

// next is the next event.
func next(t testing.TB, w watch.Interface) watch.Event {
	t.Helper()
	select {
	case event, ok := <-w.ResultChan():
		if !ok {
			t.Fatal("the watch has ended")
		}
		return event
	case <-time.After(soon):
		t.Fatal("no event")
	}
	panic("unreachable")
}

// quiet wants no event for a while.
func quiet(t testing.TB, w watch.Interface, d time.Duration) {
	t.Helper()
	select {
	case event, ok := <-w.ResultChan():
		t.Fatalf("%v event %v, open %v", event.Type, event.Object, ok)
	case <-time.After(d):
	}
}

// ended wants the end of the watch.
func ended(t testing.TB, w watch.Interface) {
	t.Helper()
	select {
	case event, ok := <-w.ResultChan():
		if ok {
			t.Fatalf("%v event %v instead of the end", event.Type, event.Object)
		}
	case <-time.After(soon):
		t.Fatal("the watch does not end")
	}
}

// podOf is the pod of an event, which may share its encoding.
func podOf(e watch.Event) *example.Pod {
	if shared, ok := e.Object.(runtime.CacheableObject); ok {
		return shared.GetObject().(*example.Pod)
	}
	return e.Object.(*example.Pod)
}

func describe(e watch.Event) string {
	if p, ok := e.Object.(*example.Pod); ok {
		return fmt.Sprintf("%s %s@%s", e.Type, p.Name, p.ResourceVersion)
	}
	return fmt.Sprintf("%s %v", e.Type, e.Object)
}

func revision(t testing.TB, rv string) int64 {
	t.Helper()
	rev, err := strconv.ParseInt(rv, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

// fieldNode selects pods of a node.
func fieldNode(name string) fields.Selector {
	return fields.OneTermEqualSelector("spec.nodeName", name)
}
