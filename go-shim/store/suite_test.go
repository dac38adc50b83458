package store

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/apitesting"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apiserver/pkg/apis/example"
	examplev1 "k8s.io/apiserver/pkg/apis/example/v1"
	"k8s.io/apiserver/pkg/storage"
	storagetesting "k8s.io/apiserver/pkg/storage/testing"
	"k8s.io/apiserver/pkg/storage/value"

	"github.com/libstorage/go-shim/kv"
)

var (
	scheme = runtime.NewScheme()
	codecs = serializer.NewCodecFactory(scheme)
)

func init() {
	metav1.AddToGroupVersion(scheme, metav1.SchemeGroupVersion)
	utilruntime.Must(example.AddToScheme(scheme))
	utilruntime.Must(examplev1.AddToScheme(scheme))
}

const testPrefix = "test!"

var errFlippedBits = errors.New("bits flipped")

// callCounter counts the lists of a kv.Store.
type callCounter struct {
	kv.Store
	lists atomic.Int64
}

func (c *callCounter) List(ctx context.Context, r kv.ResourceID, start, end string, o kv.ReadOptions) (*kv.Result, error) {
	c.lists.Add(1)
	return c.Store.List(ctx, r, start, end, o)
}

func podAttrs(obj runtime.Object) (labels.Set, fields.Set, error) {
	pod := obj.(*example.Pod)
	return pod.Labels, fields.Set{"metadata.name": pod.Name, "spec.nodeName": pod.Spec.NodeName}, nil
}

// testOptions are those of a store of example pods.
func testOptions(db kv.Store) Options {
	return Options{
		KV: db, Codec: apitesting.TestCodec(codecs, examplev1.SchemeGroupVersion),
		NewFunc:        func() runtime.Object { return &example.Pod{} },
		NewListFunc:    func() runtime.Object { return &example.PodList{} },
		ResourcePrefix: "/pods", KeyPrefix: "/", GroupResource: schema.GroupResource{Resource: "pods"},
		Transformer: storagetesting.NewPrefixTransformer([]byte(testPrefix), false),
		Kind:        "Pod", Namespaced: true, GetAttrs: podAttrs,
		ProgressInterval: time.Second,
	}
}

func newTestStore(t testing.TB, db kv.Store, change ...func(*Options)) *Store {
	t.Helper()
	o := testOptions(db)
	for _, f := range change {
		f(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// storeUnderTest is what upstream's suite asks for beside storage.Interface.
type storeUnderTest struct{ *Store }

func (s storeUnderTest) setTransformer(to value.Transformer) (restore func()) {
	from := s.transformer
	s.transformer = to
	s.decoded.clear() // holds what the former one gave
	return func() {
		s.transformer = from
		s.decoded.clear()
	}
}

func (s storeUnderTest) UpdatePrefixTransformer(modify storagetesting.PrefixTransformerModifier) func() {
	copied := *s.transformer.(*storagetesting.PrefixTransformer)
	return s.setTransformer(modify(&copied))
}

// flippedBits is a transformer that cannot read anything.
type flippedBits struct{ value.Transformer }

func (flippedBits) TransformFromStorage(context.Context, []byte, value.Context) ([]byte, bool, error) {
	return nil, true, errFlippedBits
}

func (s storeUnderTest) CorruptTransformer() func() {
	return s.setTransformer(flippedBits{s.transformer})
}

// checkStored is upstream's KeyValidation: versions and self links are not stored.
func checkStored(s *Store) storagetesting.KeyValidation {
	return func(ctx context.Context, t *testing.T, key string) {
		result, err := s.kv.Get(ctx, s.id, key, kv.ReadOptions{})
		if err != nil {
			t.Fatalf("read of %s: %v", key, err)
		}
		defer result.Release()
		obj, err := runtime.Decode(s.codec, result.KVs[0].Value[len(testPrefix):])
		if err != nil {
			t.Fatalf("stored value of %s: %v", key, err)
		}
		if pod := obj.(*example.Pod); pod.ResourceVersion != "" || pod.SelfLink != "" {
			t.Errorf("stored with version %q and self link %q", pod.ResourceVersion, pod.SelfLink)
		}
	}
}

// compact is upstream's Compaction. etcd's callers first write a key of their
// own, and the suite counts on that one revision.
func compact(s *Store) storagetesting.Compaction {
	return func(ctx context.Context, t *testing.T, resourceVersion string) {
		rev, err := storage.APIObjectVersioner{}.ParseResourceVersion(resourceVersion)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.kv.Put(ctx, s.id, "/compact_rev_key", []byte(resourceVersion), kv.PutOptions{Expected: kv.AnyRevision})
		if err != nil {
			t.Fatalf("bumping the revision: %v", err)
		}
		if err := s.kv.Compact(ctx, int64(rev)); err != nil {
			t.Fatalf("compacting to %d: %v", rev, err)
		}
	}
}
