package store

import (
	"context"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
)

// TestRawStorage: the allocators and leases of kube-apiserver have neither
// constructors nor attributes nor a resource prefix.
func TestRawStorage(t *testing.T) {
	s := newTestStore(t, newDB(t), func(o *Options) {
		o.NewFunc, o.NewListFunc, o.GetAttrs, o.ResourcePrefix, o.KeyPrefix = nil, nil, nil, "", ""
		o.Prefix = "/registry"
	})
	ctx := context.Background()
	const key = "/masterleases/10.0.0.1"
	w, err := s.Watch(ctx, "/masterleases/", storage.ListOptions{ResourceVersion: "0", Recursive: true, Predicate: storage.Everything})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	ttl := uint64(60)
	put := func(name string) error {
		return s.GuaranteedUpdate(ctx, key, &example.Pod{}, true, nil,
			func(obj runtime.Object, _ storage.ResponseMeta) (runtime.Object, *uint64, error) {
				obj.(*example.Pod).Name = name
				return obj, &ttl, nil
			}, nil)
	}
	for _, want := range []watch.EventType{watch.Added, watch.Modified} {
		if err := put(string(want)); err != nil {
			t.Fatal(err)
		}
		if event := next(t, w); event.Type != want || podOf(event).Name != string(want) {
			t.Errorf("got %s", describe(event))
		}
	}
	list := &example.PodList{}
	if err := s.GetList(ctx, "/masterleases/", storage.ListOptions{ResourceVersion: "0", Recursive: true, Predicate: storage.Everything}, list); err != nil || len(list.Items) != 1 {
		t.Errorf("%d items, %v", len(list.Items), err)
	}
	out := &example.Pod{}
	if err := s.Get(ctx, key, storage.GetOptions{}, out); err != nil || out.Name != "MODIFIED" {
		t.Errorf("got %q, %v", out.Name, err)
	}
	list = &example.PodList{}
	if err := s.GetList(ctx, "/masterleases", storage.ListOptions{Predicate: storage.Everything}, list); err != nil || len(list.Items) != 0 {
		t.Errorf("%d items, %v", len(list.Items), err)
	}
	if err := s.Delete(ctx, key, out, nil, storage.ValidateAllObjectFunc, nil, storage.DeleteOptions{}); err != nil {
		t.Error(err)
	}
}
