package failover

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/storage"

	"github.com/libstorage/go-shim/testserver"
)

const (
	// refusalLimit is what an outage may take to be told. The product's is 3 s; the
	// rest is for a machine that others use too.
	refusalLimit = 3*time.Second + time.Second
	// servedLimit bounds calls that have nothing to do with an outage. One that waits
	// for the dead takes two seconds or more.
	servedLimit = 1500 * time.Millisecond
	// outage is longer than any time-out of a session.
	outage = 5 * time.Second
)

// want is what is asked of an outage beyond the right answers.
type want struct {
	soon       bool // who is refused is told within refusalLimit, the others wait for nobody
	namespaces bool // lists of a namespace that is kept elsewhere go on
}

// TestDeadBackend of four: what lives elsewhere is served, what lives there is
// refused, a list over both is refused rather than told in part, and all of it comes
// back by itself.
func TestDeadBackend(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"postgresql", "mariadb", "etcd"} {
		t.Run(name+"-silent", func(t *testing.T) { w.silent(t, w.servers[name], want{}) })
		t.Run(name+"-killed", func(t *testing.T) { w.killed(t, w.servers[name], want{}) })
	}
}

// TestDeadBackendSoon: also while many ask for what is dead.
func TestDeadBackendSoon(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"postgresql", "mariadb", "etcd"} {
		t.Run(name, func(t *testing.T) { w.silent(t, w.servers[name], want{soon: true}) })
	}
}

// TestDeadBackendNamespaces: a kind that is split is served where it can be.
func TestDeadBackendNamespaces(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"postgresql", "mariadb", "etcd"} {
		t.Run(name, func(t *testing.T) { w.killed(t, w.servers[name], want{namespaces: true}) })
	}
}

// silent: the server answers nothing.
func (w *world) silent(t *testing.T, s *testserver.Server, want want) {
	w.outage(t, s, want, s.Pause, func() error { s.Resume(); return nil })
}

// killed: nobody listens there.
func (w *world) killed(t *testing.T, s *testserver.Server, want want) {
	w.outage(t, s, want, s.Kill, s.Restart)
}

func (w *world) outage(t *testing.T, s *testserver.Server, want want, begin, end func() error) {
	w.serve(t, s.Name(), want, time.Second)
	if err := begin(); err != nil {
		t.Fatal(err)
	}
	unknown := w.during(t, s.Name(), want)
	if err := end(); err != nil {
		t.Fatal(err)
	}
	w.afterwards(t, unknown)
}

// during an outage. It returns the names of calls that once had no answer.
func (w *world) during(t *testing.T, dead string, want want) *sync.Map {
	var running sync.WaitGroup
	var unknown sync.Map
	running.Add(1)
	go func() {
		defer running.Done()
		w.serve(t, dead, want, outage)
	}()
	end := time.Now().Add(outage)
	for _, call := range w.refused(dead) {
		running.Add(1)
		go func() {
			defer running.Done()
			for round := 0; time.Now().Before(end); round++ {
				err := mustRefuse(t, fmt.Sprintf("%s, round %d", call.name, round), want, call.do)
				if apierrors.IsTimeout(err) {
					unknown.Store(call.name, true)
				}
			}
		}()
	}
	running.Wait()
	return &unknown
}

// serve everything that does not live on a server, for a while.
func (w *world) serve(t *testing.T, without string, want want, length time.Duration) {
	var mu sync.Mutex
	var all []time.Duration
	timed := func(what string, do func() error) {
		begin := time.Now()
		err := do()
		took := time.Since(begin)
		if err != nil {
			t.Errorf("%s: %v (after %s)", what, err, took)
		}
		if want.soon && took > servedLimit {
			t.Errorf("%s: served after %s only", what, took)
		}
		mu.Lock()
		defer mu.Unlock()
		all = append(all, took)
	}
	var running sync.WaitGroup
	end := time.Now().Add(length)
	for home := range kindIn {
		if home == without {
			continue
		}
		running.Add(1)
		go func() {
			defer running.Done()
			for time.Now().Before(end) {
				w.liveOne(kindIn[home], "ns", true, timed)
				w.liveOne(splitKind, namespaceIn[home], want.namespaces, timed)
				timed("list of all "+kindIn[home], func() error { return w.complete(kindIn[home], "") })
			}
		}()
	}
	running.Wait()
	slices.Sort(all)
	t.Logf("elsewhere %d calls: half of them up to %s, nine of ten up to %s, all up to %s",
		len(all), all[len(all)/2], all[len(all)*9/10], all[len(all)-1])
}

// liveOne is the life of an object, with a list of its namespace or without.
func (w *world) liveOne(kind, namespace string, list bool, timed func(what string, do func() error)) {
	at := kind + " in " + namespace
	timed("create "+at, func() error { return w.create(kind, namespace, "live") })
	timed("get "+at, func() error { return w.get(kind, namespace, "live") })
	timed("update "+at, func() error { return w.update(kind, namespace, "live") })
	timed("delete "+at, func() error { return w.remove(kind, namespace, "live") })
	if list {
		timed("list "+at, func() error { return w.complete(kind, namespace) })
	}
}

// complete: a list has every seed.
func (w *world) complete(kind, namespace string) error {
	list, err := w.list(kind, namespace)
	if err == nil {
		err = seedsIn(list.Items, kind, namespace)
	}
	return err
}

type refusedCall struct {
	name string
	do   func() error
}

// refused while a server is dead.
func (w *world) refused(dead string) (all []refusedCall) {
	for kind, namespace := range map[string]string{kindIn[dead]: "ns", splitKind: namespaceIn[dead]} {
		at := kind + " in " + namespace
		all = append(all,
			refusedCall{"create " + at, func() error { return w.create(kind, namespace, "never") }},
			refusedCall{"get " + at, func() error { return w.get(kind, namespace, "seed-00") }},
			refusedCall{"update " + at, func() error { return w.update(kind, namespace, "seed-01") }},
			refusedCall{"delete " + at, func() error { return w.remove(kind, namespace, "seed-02") }},
			refusedCall{"list " + at, func() error { _, err := w.list(kind, namespace); return err }})
	}
	for _, kind := range []string{kindIn[dead], splitKind} {
		for name, change := range map[string]func(*storage.ListOptions){
			"":                        func(*storage.ListOptions) {},
			" in pages":               func(o *storage.ListOptions) { o.Predicate.Limit = 5 },
			" at any resourceVersion": func(o *storage.ListOptions) { o.ResourceVersion = "0" },
			" at an old one": func(o *storage.ListOptions) {
				o.ResourceVersion, o.ResourceVersionMatch = "150", metav1.ResourceVersionMatchExact
			},
		} {
			all = append(all, refusedCall{"list of all " + kind + name, func() error {
				_, err := w.list(kind, "", change)
				return err
			}})
		}
	}
	return all
}

// mustRefuse as what it is, and within the limit if that is wanted.
func mustRefuse(t *testing.T, what string, want want, do func() error) error {
	begin := time.Now()
	err := do()
	took := time.Since(begin)
	switch {
	case err == nil:
		t.Errorf("%s: served after %s", what, took)
	case !apierrors.IsServiceUnavailable(err) && !apierrors.IsTimeout(err):
		t.Errorf("%s: refused after %s with %v", what, took, err)
	case want.soon && took > refusalLimit:
		t.Errorf("%s: refused after %s only: %v", what, took, err)
	}
	return err
}
