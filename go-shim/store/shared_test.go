package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/apis/example"
)

// TestEventsAreSerializedOnce for all watches of clients; the watch cache gets
// objects of its own.
func TestEventsAreSerializedOnce(t *testing.T) {
	s := newTestStore(t, newDB(t), func(o *Options) { o.ShareEncoding = true })
	cache := mustWatch(t, s, "1", wantProgress)
	var clients []watch.Interface
	for range 10 {
		clients = append(clients, mustWatch(t, s, "1"))
	}
	var encodes atomic.Int64
	encode := func(obj runtime.Object, w io.Writer) error {
		encodes.Add(1)
		p := obj.(*example.Pod)
		p.Labels = map[string]string{"changed": "by the encoder"}
		_, err := io.WriteString(w, p.Name+"@"+p.ResourceVersion)
		return err
	}
	const creates = 20
	var want []string
	for i := range creates {
		p := mustCreate(t, s, pod(fmt.Sprint(i)))
		want = append(want, p.Name+"@"+p.ResourceVersion)
	}
	var wg sync.WaitGroup
	for _, w := range clients {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range creates {
				event := <-w.ResultChan()
				var b bytes.Buffer
				var err error
				if shared, ok := event.Object.(runtime.CacheableObject); ok {
					err = shared.CacheEncode("json", encode, &b)
				} else {
					err = encode(event.Object, &b)
				}
				if err != nil || b.String() != want[i] {
					t.Errorf("event %d: %q, %v", i, b.String(), err)
				}
				if p := podOf(event); p.Labels != nil {
					t.Errorf("event %d was changed: %v", i, p.Labels)
				}
			}
		}()
	}
	wg.Wait()
	if n := encodes.Load(); n > 2*creates {
		t.Errorf("%d encodings of %d objects for %d watches", n, creates, len(clients))
	}
	for range creates {
		if _, ok := next(t, cache).Object.(*example.Pod); !ok {
			t.Error("the watch cache got a shared object")
		}
	}
}

// TestAFewWatchesGetTheObjectItself: who watches alone inside the API server looks at its type.
func TestAFewWatchesGetTheObjectItself(t *testing.T) {
	s := newTestStore(t, newDB(t), func(o *Options) { o.ShareEncoding = true })
	alone := mustWatch(t, s, "1")
	p := mustCreate(t, s, pod("a"))
	if got, ok := next(t, alone).Object.(*example.Pod); !ok || got.ResourceVersion != p.ResourceVersion {
		t.Errorf("got %T", got)
	}
}

func TestSharedObject(t *testing.T) {
	p := pod("a")
	p.ResourceVersion = "7"
	o := &sharedObject{obj: p}
	accessor, err := meta.Accessor(o)
	if err != nil || accessor.GetResourceVersion() != "7" {
		t.Fatalf("got %v, %v", accessor, err)
	}
	accessor.SetResourceVersion("8")
	o.GetObjectKind().SetGroupVersionKind(example.SchemeGroupVersion.WithKind("Other"))
	o.DeepCopyObject().(*sharedObject).obj.(*example.Pod).Name = "b"
	if p.ResourceVersion != "7" || p.Name != "a" || p.Kind != "" {
		t.Errorf("changed to %+v", p)
	}

	write := func(text string, err error) func(runtime.Object, io.Writer) error {
		return func(_ runtime.Object, w io.Writer) error {
			_, _ = io.WriteString(w, text)
			return err
		}
	}
	var b bytes.Buffer
	splice := runtime.NewSpliceBuffer()
	for id, w := range map[runtime.Identifier]io.Writer{"one": &b, "two": splice} {
		for _, text := range []string{string(id), "again"} {
			if err := o.CacheEncode(id, write(text, nil), w); err != nil {
				t.Error(err)
			}
		}
	}
	if b.String() != "oneone" || string(splice.Bytes()) != "two" {
		t.Errorf("wrote %q and %q", b.String(), splice.Bytes())
	}
	no := errors.New("no")
	for range 2 {
		if err := o.CacheEncode("failing", write("x", no), &b); err != no {
			t.Errorf("got %v", err)
		}
	}
	func() {
		defer func() { _ = recover() }()
		_ = o.CacheEncode("panic", func(runtime.Object, io.Writer) error { panic("boom") }, &b)
	}()
	if err := o.CacheEncode("panic", write("x", nil), &b); err != errNotSerialized {
		t.Errorf("after a panic: %v", err)
	}
}
