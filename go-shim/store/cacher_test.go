package store

import (
	"context"
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/apitesting"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apiserver/pkg/apis/example"
	examplev1 "k8s.io/apiserver/pkg/apis/example/v1"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/cacher"
	etcdfeature "k8s.io/apiserver/pkg/storage/feature"
	"k8s.io/utils/clock"

	"github.com/libstorage/go-shim/kv"
)

// supportsProgress answers as the factory's checker does.
type supportsProgress struct {
	etcdfeature.FeatureSupportChecker
}

func (supportsProgress) Supports(storage.Feature) bool { return true }

func setFeatures(t *testing.T) {
	before := etcdfeature.DefaultFeatureSupportChecker
	etcdfeature.DefaultFeatureSupportChecker = supportsProgress{before}
	t.Cleanup(func() { etcdfeature.DefaultFeatureSupportChecker = before })
}

// newCacher is upstream's watch cache over a store.
func newCacher(t *testing.T, s *Store) *cacher.Cacher {
	c, err := cacher.NewCacherFromConfig(cacher.Config{
		Storage: s, Versioner: storage.APIObjectVersioner{}, GroupResource: schema.GroupResource{Resource: "pods"},
		ResourcePrefix: "/pods", GetAttrsFunc: podAttrs,
		KeyFunc:     func(obj runtime.Object) (string, error) { return storage.NamespaceKeyFunc("/pods", obj) },
		NewFunc:     func() runtime.Object { return &example.Pod{} },
		NewListFunc: func() runtime.Object { return &example.PodList{} },
		Codec:       apitesting.TestCodec(codecs, examplev1.SchemeGroupVersion), Clock: clock.RealClock{},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	waitFor(t, "ready watch cache", func() bool { return c.ReadinessCheck() == nil })
	return c
}

// TestConsistentListFromCache: with the watch cache on, a consistent list costs
// the store one look at the current revision and reads no object.
func TestConsistentListFromCache(t *testing.T) {
	setFeatures(t)
	db := &listCounter{tracked: tracked{Store: newDB(t)}}
	s := newTestStore(t, db, func(o *Options) { o.KeyPrefix = "" })
	c := newCacher(t, s)
	mustCreate(t, s, pod("first"))
	mustList(t, c, all()) // the cache has seen it
	lists, reads := db.lists, db.gets
	const rounds = 20
	for i := range rounds {
		p := mustCreate(t, s, pod("p"+rand.String(8)))
		opts := all()
		if i%2 == 1 {
			opts.ResourceVersion, opts.ResourceVersionMatch = p.ResourceVersion, metav1.ResourceVersionMatchNotOlderThan
		}
		start := time.Now()
		list := mustList(t, c, opts)
		if len(list.Items) != i+2 || revision(t, list.ResourceVersion) < revision(t, p.ResourceVersion) {
			t.Errorf("%d items at %s, want %d at %s", len(list.Items), list.ResourceVersion, i+2, p.ResourceVersion)
		}
		if took := time.Since(start); took > soon/4 {
			t.Errorf("took %v", took)
		}
	}
	if db.lists != lists || db.gets != reads {
		t.Errorf("%d lists and %d gets of the store for %d lists", db.lists-lists, db.gets-reads, rounds)
	}
	if db.currents < rounds/2 {
		t.Errorf("%d looks at the current revision: the lists were not consistent", db.currents)
	}
}

// TestConsistentListOfAQuietKind: other kinds' writes move the revision, and the
// cache learns of it only by progress.
func TestConsistentListOfAQuietKind(t *testing.T) {
	setFeatures(t)
	db := newDB(t)
	s := newTestStore(t, db, func(o *Options) { o.KeyPrefix = "" })
	c := newCacher(t, s)
	other := newTestStore(t, db, func(o *Options) {
		o.ResourcePrefix, o.KeyPrefix, o.GroupResource.Resource = "/others", "", "others"
	})
	for i := range 5 {
		out := &example.Pod{}
		if err := other.Create(context.Background(), fmt.Sprintf("/others/ns/%d", i), pod(fmt.Sprint(i)), out, 0); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), soon)
		list := &example.PodList{}
		if err := c.GetList(ctx, "/pods", all(), list); err != nil {
			t.Fatal(err)
		}
		cancel()
		if revision(t, list.ResourceVersion) < revision(t, out.ResourceVersion) {
			t.Errorf("a list of %s after a write of %s", list.ResourceVersion, out.ResourceVersion)
		}
	}
}

// TestCacherDecodesNothing: the watch cache gets what the writers have decoded.
func TestCacherDecodesNothing(t *testing.T) {
	codec := &countingCodec{}
	s := newTestStore(t, newDB(t), withCodec(codec))
	c := newCacher(t, s)
	codec.decodes.Store(0)
	const creates = 100
	w := mustWatch(t, c, "0")
	for i := range creates {
		mustCreate(t, s, pod(fmt.Sprint(i)))
		if got := podOf(next(t, w)).Name; got != fmt.Sprint(i) {
			t.Fatalf("event %d is of %s", i, got)
		}
	}
	if got := codec.decodes.Load(); got != creates {
		t.Errorf("%d decodes for %d creates", got, creates)
	}
}

// listCounter counts reads by kind. They are made one after the other.
type listCounter struct {
	tracked
	lists, gets, currents int
}

func (c *listCounter) List(ctx context.Context, r kv.ResourceID, start, end string, o kv.ReadOptions) (*kv.Result, error) {
	c.lists++
	return c.tracked.List(ctx, r, start, end, o)
}

func (c *listCounter) Get(ctx context.Context, r kv.ResourceID, key string, o kv.ReadOptions) (*kv.Result, error) {
	c.gets++
	return c.tracked.Get(ctx, r, key, o)
}

func (c *listCounter) CurrentRevision(ctx context.Context, r kv.ResourceID) (int64, error) {
	c.currents++
	return c.tracked.CurrentRevision(ctx, r)
}
