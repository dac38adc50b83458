package store

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/value"
)

// reentrant is a caller whose code uses the store again in one of the places
// where the store calls it: nothing may be locked there.
type reentrant struct {
	s     *Store
	place string
	busy  atomic.Bool
	over  atomic.Bool
	calls atomic.Int64
}

// use calls every method of the store if this is the place, but not from within
// itself, nor for ever: a watch would see what it causes.
func (r *reentrant) use(place string) {
	if r.s == nil || place != r.place || r.over.Load() || r.calls.Load() > 20 || !r.busy.CompareAndSwap(false, true) {
		return
	}
	defer r.busy.Store(false)
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	call := r.calls.Add(1)
	name := fmt.Sprintf("inner-%d", call)
	keys := []string{name}
	if call == 1 { // every time would beat the outer update for ever
		keys = append(keys, "outer")
	}
	check := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	w, err := r.s.Watch(ctx, "/pods", storage.ListOptions{ResourceVersion: "0", Recursive: true, ProgressNotify: true, Predicate: storage.Everything})
	check(err)
	check(r.s.Create(ctx, podKey(name), pod(name), &example.Pod{}, 0))
	check(r.s.Get(ctx, podKey(name), storage.GetOptions{}, &example.Pod{}))
	for _, of := range keys {
		check(r.s.GuaranteedUpdate(ctx, podKey(of), &example.Pod{}, false, nil, storage.SimpleUpdate(func(obj runtime.Object) (runtime.Object, error) {
			obj.(*example.Pod).Spec.NodeName = name
			return obj, nil
		}), nil))
	}
	check(r.s.GetList(ctx, "/pods", all(), &example.PodList{}))
	_, err = r.s.Count("/pods")
	check(err)
	check(r.s.RequestWatchProgress(ctx))
	check(r.s.Delete(ctx, podKey(name), &example.Pod{}, nil, storage.ValidateAllObjectFunc, nil, storage.DeleteOptions{}))
	w.Stop()
}

type reentrantTransformer struct {
	value.Transformer
	r *reentrant
}

func (t reentrantTransformer) TransformFromStorage(ctx context.Context, data []byte, dataCtx value.Context) ([]byte, bool, error) {
	before := bytes.Clone(data)
	t.r.use("transform from storage")
	if !bytes.Equal(before, data) {
		panic("the value changed under its reader")
	}
	return t.Transformer.TransformFromStorage(ctx, data, dataCtx)
}

func (t reentrantTransformer) TransformToStorage(ctx context.Context, data []byte, dataCtx value.Context) ([]byte, error) {
	t.r.use("transform to storage")
	return t.Transformer.TransformToStorage(ctx, data, dataCtx)
}

type reentrantCodec struct {
	runtime.Codec
	r *reentrant
}

func (c reentrantCodec) Decode(data []byte, gvk *schema.GroupVersionKind, into runtime.Object) (runtime.Object, *schema.GroupVersionKind, error) {
	c.r.use("decode")
	return c.Codec.Decode(data, gvk, into)
}

func (c reentrantCodec) Encode(obj runtime.Object, w io.Writer) error {
	c.r.use("encode")
	return c.Codec.Encode(obj, w)
}

// TestCallersMayComeBack: with the store's own code holding a lock anywhere, one
// of these would wait for itself.
func TestCallersMayComeBack(t *testing.T) {
	for _, place := range []string{"transform from storage", "transform to storage", "decode", "encode",
		"attributes", "selector", "update", "validate"} {
		t.Run(place, func(t *testing.T) { testReentry(t, place) })
	}
}

func testReentry(t *testing.T, place string) {
	r := &reentrant{place: place}
	s := newTestStore(t, newDB(t), func(o *Options) {
		o.Codec = reentrantCodec{o.Codec, r}
		o.Transformer = reentrantTransformer{o.Transformer, r}
		o.GetAttrs = func(obj runtime.Object) (labels.Set, fields.Set, error) {
			r.use("attributes")
			return podAttrs(obj)
		}
	})
	mustCreate(t, s, pod("outer"))
	for i := range 100 { // a page for several cores
		mustCreate(t, s, pod(fmt.Sprintf("p-%d", i)))
	}
	selecting := all()
	selecting.Predicate.Field = fieldNode("none")
	selecting.Predicate.GetAttrs = func(obj runtime.Object) (labels.Set, fields.Set, error) {
		r.use("selector")
		return podAttrs(obj)
	}
	r.s = s
	for what, do := range map[string]func(){
		"create": func() { mustCreate(t, s, pod("b")) },
		"get":    func() { _ = s.Get(context.Background(), podKey("outer"), storage.GetOptions{}, &example.Pod{}) },
		"update": func() {
			mustUpdate(t, s, "outer", func(p *example.Pod) {
				if p.Generation == 0 { // beaten by itself once
					r.use("update")
				}
				p.Generation++
			})
		},
		"list":   func() { mustList(t, s, all()) },
		"select": func() { mustList(t, s, selecting) },
		"watch": func() {
			opts := selecting
			opts.ResourceVersion, opts.ProgressNotify = "0", true
			w, err := s.Watch(context.Background(), "/pods", opts)
			if err != nil {
				t.Error(err)
				return
			}
			for event := range w.ResultChan() {
				if event.Type == watch.Error {
					t.Errorf("got %v", event.Object)
				}
				if event.Type == watch.Bookmark {
					w.Stop()
				}
			}
		},
		"delete": func() {
			validate := func(context.Context, runtime.Object) error { r.use("validate"); return nil }
			_ = s.Delete(context.Background(), podKey("p-1"), &example.Pod{}, nil, validate, nil, storage.DeleteOptions{})
		},
	} {
		done := make(chan struct{})
		go func() {
			defer close(done)
			do()
		}()
		select {
		case <-done:
		case <-time.After(soon):
			t.Fatalf("%s is stuck", what)
		}
	}
	r.over.Store(true)
	waitFor(t, "end of the watches", func() bool { return !r.busy.Load() && s.watches.count() == 0 })
	if r.calls.Load() == 0 {
		t.Error("the caller never came back")
	}
}
