package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/features"
	"k8s.io/apiserver/pkg/storage"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	featuregatetesting "k8s.io/component-base/featuregate/testing"

	"github.com/libstorage/go-shim/kv"
)

// manyPods are in key order; every tenth is on node "tenth".
func manyPods(t testing.TB, s *Store, n int) []string {
	t.Helper()
	var names []string
	for i := range n {
		p := pod(fmt.Sprintf("pod-%05d", i))
		if i%10 == 0 {
			p.Spec.NodeName = "tenth"
		}
		mustCreate(t, s, p)
		names = append(names, p.Name)
	}
	return names
}

func namesOf(list *example.PodList) []string {
	var names []string
	for i := range list.Items {
		names = append(names, list.Items[i].Name)
	}
	return names
}

// TestLongList: pages are fetched ahead and decoded on several cores, and all is
// there in order, also with writes in between.
func TestLongList(t *testing.T) {
	db := &afterList{Store: newDB(t)}
	s := newTestStore(t, db)
	names := manyPods(t, s, firstPage+largePage+700)
	n := 0
	db.do = func() {
		n++
		mustCreate(t, s, pod(fmt.Sprintf("a-%d", n)))
		mustUpdate(t, s, names[len(names)-1], func(p *example.Pod) { p.Spec.NodeName = "changed" })
		mustDelete(t, s, fmt.Sprintf("a-%d", n))
	}
	list := mustList(t, s, all())
	db.do = nil
	if !slices.Equal(namesOf(list), names) {
		t.Errorf("%d pods, want %d", len(list.Items), len(names))
	}
	if got, want := list.ResourceVersion, fmt.Sprint(len(names)+1); got != want {
		t.Errorf("the list is of %s, its first page was of %s", got, want)
	}
	for i := range list.Items {
		if rv := list.Items[i].ResourceVersion; rv != fmt.Sprint(i+2) {
			t.Fatalf("pod %d has version %s", i, rv)
		}
	}
	if db.lists < 3 {
		t.Errorf("%d pages", db.lists)
	}
	if c := cap(list.Items); c != len(names) {
		t.Errorf("room for %d items, %d are there", c, len(names))
	}

	tenths := all()
	tenths.Predicate.Field = fieldNode("tenth")
	if got, want := len(mustList(t, s, tenths).Items), (len(names)+9)/10; got != want {
		t.Errorf("%d pods of node tenth, want %d", got, want)
	}
}

// TestPages of all sizes, with and without a selector, join to the whole list.
func TestPages(t *testing.T) {
	s := newTestStore(t, newDB(t))
	names := manyPods(t, s, 1203)
	for _, limit := range []int64{1, 7, 63, 64, 65, 100, 500, 501, 1202, 1203, 5000} {
		for _, node := range []string{"", "tenth"} {
			t.Run(fmt.Sprintf("%d %s", limit, node), func(t *testing.T) {
				testPages(t, s, names, limit, node)
			})
		}
	}
}

func testPages(t *testing.T, s *Store, names []string, limit int64, node string) {
	var want []string
	for i, name := range names {
		if node == "" || i%10 == 0 {
			want = append(want, name)
		}
	}
	opts := all()
	opts.Predicate.Limit = limit
	if node != "" {
		opts.Predicate.Field = fieldNode(node)
	}
	var got []string
	var rv string
	for {
		list := mustList(t, s, opts)
		got = append(got, namesOf(list)...)
		if rv != "" && list.ResourceVersion != rv {
			t.Fatalf("a page of %s after one of %s", list.ResourceVersion, rv)
		}
		rv = list.ResourceVersion
		left := int64(len(want) - len(got))
		if list.Continue == "" {
			if list.RemainingItemCount != nil {
				t.Errorf("the last page says that %d remain", *list.RemainingItemCount)
			}
			break
		}
		if int64(len(list.Items)) != limit {
			t.Fatalf("a page of %d items that is not the last", len(list.Items))
		}
		switch r := list.RemainingItemCount; {
		case node != "" && r != nil:
			t.Errorf("%d remain, which a selector cannot know", *r)
		case node == "" && (r == nil || *r != left):
			t.Errorf("%v remain, want %d", r, left)
		}
		opts.Predicate.Continue = list.Continue
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d items, want %d", len(got), len(want))
	}
}

// TestPagesCountOnce: the first page counts what comes after it, the others know,
// also when there are writes in between. What was forgotten is counted again.
func TestPagesCountOnce(t *testing.T) {
	db := &afterList{Store: newDB(t)}
	s := newTestStore(t, db)
	names := manyPods(t, s, 95)
	n := 0
	db.do = func() {
		n++
		mustCreate(t, s, pod(fmt.Sprintf("z-%d", n)))
		mustDelete(t, s, names[len(names)-n])
	}
	testPages(t, s, names, 10, "")
	if db.counts != 1 {
		t.Errorf("%d pages counted, want 1", db.counts)
	}
	db.do = nil
	opts := all()
	opts.Predicate.Limit = 10
	opts.Predicate.Continue = mustList(t, s, opts).Continue
	for i := range keepRests {
		s.rests.keep(place{from: fmt.Sprint(i)}, 1)
	}
	before := db.counts
	// 95 pods and 10 more, 10 gone, of which 20 are read.
	if r := mustList(t, s, opts).RemainingItemCount; r == nil || *r != 75 {
		t.Errorf("%v remain, want 75", r)
	}
	if db.counts != before+1 || len(s.rests.rows) != keepRests {
		t.Errorf("%d counts and %d places, want %d and %d", db.counts-before, len(s.rests.rows), 1, keepRests)
	}
}

// TestListFails at the first row that cannot be read, in key order.
func TestListFails(t *testing.T) {
	for _, node := range []string{"", "tenth"} {
		s := newTestStore(t, newDB(t))
		names := manyPods(t, s, 400)
		restore := storeUnderTest{s}.setTransformer(&failOn{s.transformer, names[250]})
		defer restore()
		opts := all()
		if node != "" {
			opts.Predicate.Field = fieldNode(node)
		}
		err := s.GetList(context.Background(), "/pods", opts, &example.PodList{})
		want := fmt.Sprintf("unable to transform key %q: cannot read this one", "/pods/ns/"+names[250])
		if !storage.IsInternalError(err) || err.Error() != want {
			t.Errorf("got %v", err)
		}
	}
}

// TestListNamesTheUnreadable: so that an administrator can delete them.
func TestListNamesTheUnreadable(t *testing.T) {
	featuregatetesting.SetFeatureGateDuringTest(t, utilfeature.DefaultFeatureGate, features.AllowUnsafeMalformedObjectDeletion, true)
	for _, tc := range []struct {
		pods, broken int
		tooMany      bool
	}{{5, 2, false}, {300, 99, false}, {300, 150, true}} {
		s := newTestStore(t, newDB(t))
		for i := range tc.pods {
			name := fmt.Sprintf("whole-%d", i)
			if i < tc.broken {
				name = fmt.Sprintf("broken-%d", i)
			}
			mustCreate(t, s, pod(name))
		}
		restore := storeUnderTest{s}.setTransformer(&failOn{s.transformer, "broken"})
		defer restore()
		err := s.GetList(context.Background(), "/pods", all(), &example.PodList{})
		var status apierrors.APIStatus
		if !errors.As(err, &status) || status.Status().Reason != metav1.StatusReasonStoreReadError {
			t.Fatalf("got %v", err)
		}
		causes := status.Status().Details.Causes
		want := min(tc.broken, maxUnreadable)
		if tc.tooMany {
			want++
		}
		if len(causes) != want || tc.tooMany != (causes[want-1].Type == metav1.CauseTypeTooMany) {
			t.Errorf("%d causes, the last %v", len(causes), causes[len(causes)-1])
		}
		if err := s.Get(context.Background(), podKey("broken-0"), storage.GetOptions{}, &example.Pod{}); !storage.IsCorruptObject(err) {
			t.Errorf("a get says %v", err)
		}
	}
}

// TestListOfACancelledRequest ends, and gives back what was fetched ahead.
func TestListOfACancelledRequest(t *testing.T) {
	db := &tracked{Store: newDB(t)}
	s := newTestStore(t, db)
	manyPods(t, s, 3000)
	ctx, cancel := context.WithCancel(context.Background())
	opts := all()
	opts.Predicate.Field = fieldNode("tenth")
	calls := 0
	opts.Predicate.GetAttrs = func(obj runtime.Object) (labels.Set, fields.Set, error) {
		if calls++; calls == 100 {
			cancel()
		}
		return podAttrs(obj)
	}
	err := s.GetList(ctx, "/pods", opts, &example.PodList{})
	if !storage.IsRequestTimeout(err) {
		t.Errorf("got %v", err)
	}
	if n := db.open.Load(); n != 0 {
		t.Errorf("%d results were not released", n)
	}
}

// TestEverythingIsReleased, whatever way an operation ends.
func TestEverythingIsReleased(t *testing.T) {
	db := &tracked{Store: newDB(t)}
	s := newTestStore(t, db)
	ctx := context.Background()
	p := mustCreate(t, s, pod("a"))
	_ = s.Create(ctx, podKey("a"), pod("a"), nil, 0)
	_ = s.Get(ctx, podKey("none"), storage.GetOptions{}, &example.Pod{})
	_ = s.Get(ctx, podKey("a"), storage.GetOptions{ResourceVersion: "1000"}, &example.Pod{})
	mustUpdate(t, s, "a", func(p *example.Pod) { p.Spec.NodeName = "b" })
	mustUpdate(t, s, "a", func(*example.Pod) {}) // nothing new
	stale := p.DeepCopy()
	_ = s.Delete(ctx, podKey("a"), &example.Pod{}, storage.NewUIDPreconditions("other"), storage.ValidateAllObjectFunc, stale, storage.DeleteOptions{})
	_ = s.GuaranteedUpdate(ctx, podKey("a"), &example.Pod{}, false, nil, storage.SimpleUpdate(func(obj runtime.Object) (runtime.Object, error) {
		obj.(*example.Pod).Labels = map[string]string{"x": "y"}
		return obj, nil
	}), p.DeepCopy())
	_ = s.GuaranteedUpdate(ctx, podKey("a"), &example.Pod{}, false, nil, storage.SimpleUpdate(func(runtime.Object) (runtime.Object, error) {
		return nil, errors.New("no")
	}), nil)
	mustList(t, s, all())
	one := storage.ListOptions{Predicate: storage.Everything}
	_ = s.GetList(ctx, podKey("a"), one, &example.PodList{})
	restore := storeUnderTest{s}.setTransformer(flippedBits{s.transformer})
	_ = s.Get(ctx, podKey("a"), storage.GetOptions{}, &example.Pod{})
	_ = s.GetList(ctx, podKey("a"), one, &example.PodList{})
	_ = s.GetList(ctx, "/pods", all(), &example.PodList{})
	_ = s.Delete(ctx, podKey("a"), &example.Pod{}, nil, storage.ValidateAllObjectFunc, nil, storage.DeleteOptions{})
	restore()
	w := mustWatch(t, s, "0")
	next(t, w)
	mustDelete(t, s, "a")
	next(t, w)
	w.Stop()
	ended(t, w)
	if n := db.open.Load(); n != 0 {
		t.Errorf("%d results were not released", n)
	}
	if db.taken.Load() < 10 {
		t.Errorf("only %d results", db.taken.Load())
	}
}

// TestPointListReadsNoObject: the watch cache asks so for the current revision.
func TestPointListReadsNoObject(t *testing.T) {
	db := &tracked{Store: newDB(t)}
	s := newTestStore(t, db, func(o *Options) { o.KeyPrefix = "" })
	p := mustCreate(t, s, pod("a"))
	before := db.taken.Load()
	rev, err := storage.GetCurrentResourceVersionFromStorage(context.Background(), s,
		func() runtime.Object { return &example.PodList{} }, "/pods", "pods")
	if err != nil || fmt.Sprint(rev) != p.ResourceVersion {
		t.Errorf("got %d, %v, want %s", rev, err, p.ResourceVersion)
	}
	if n := db.taken.Load() - before; n != 0 {
		t.Errorf("%d reads of objects", n)
	}
}

// TestReadsDoNotCount: a read never gives a new revision.
func TestReadsDoNotCount(t *testing.T) {
	s := newTestStore(t, newDB(t))
	p := mustCreate(t, s, pod("a"))
	for range 5 {
		if err := s.Get(context.Background(), podKey("a"), storage.GetOptions{}, &example.Pod{}); err != nil {
			t.Fatal(err)
		}
	}
	if got := mustList(t, s, all()).ResourceVersion; got != p.ResourceVersion {
		t.Errorf("the list is of %s, the last write was %s", got, p.ResourceVersion)
	}
}

// TestCompactTwice: to an older revision is no error and changes nothing.
func TestCompactTwice(t *testing.T) {
	db := newDB(t)
	s := newTestStore(t, db)
	ctx := context.Background()
	old := mustCreate(t, s, pod("a"))
	p := mustUpdate(t, s, "a", func(p *example.Pod) { p.Spec.NodeName = "b" })
	for _, rev := range []int64{revision(t, p.ResourceVersion), revision(t, old.ResourceVersion)} {
		if err := db.Compact(ctx, rev); err != nil {
			t.Fatal(err)
		}
	}
	exact := all()
	exact.ResourceVersion, exact.ResourceVersionMatch = p.ResourceVersion, metav1.ResourceVersionMatchExact
	mustList(t, s, exact)
	exact.ResourceVersion = old.ResourceVersion
	if err := s.GetList(ctx, "/pods", exact, &example.PodList{}); !apierrors.IsResourceExpired(err) {
		t.Errorf("got %v", err)
	}
}

var _ kv.Store = &tracked{}
