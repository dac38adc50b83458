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

// TestDeadBackend of four: what lives elsewhere is served and waits for nobody, lists of a
// namespace that is kept elsewhere too; what lives there is refused in time, a list over
// both is refused rather than told in part, and all of it comes back by itself.
func TestDeadBackend(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"postgresql", "mariadb", "etcd"} {
		s := w.servers[name]
		t.Run(name+"-silent", func(t *testing.T) {
			w.outage(t, s, s.Pause, func() error { s.Resume(); return nil })
		})
		if full {
			t.Run(name+"-killed", func(t *testing.T) { w.outage(t, s, s.Kill, s.Restart) })
		}
	}
}

func (w *world) outage(t *testing.T, s *testserver.Server, begin, end func() error) {
	w.serve(t, s.Name(), time.Second)
	if err := begin(); err != nil {
		t.Fatal(err)
	}
	unknown := w.during(t, s.Name())
	if err := end(); err != nil {
		t.Fatal(err)
	}
	w.afterwards(t, unknown)
}

// during an outage. It returns the names of calls that once had no answer.
func (w *world) during(t *testing.T, dead string) *sync.Map {
	var running sync.WaitGroup
	var unknown sync.Map
	running.Add(1)
	go func() {
		defer running.Done()
		w.serve(t, dead, outage)
	}()
	end := time.Now().Add(outage)
	for _, call := range w.refused(dead) {
		running.Add(1)
		go func() {
			defer running.Done()
			for round := 0; time.Now().Before(end); round++ {
				err := mustRefuse(t, fmt.Sprintf("%s, round %d", call.name, round), call.do)
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
func (w *world) serve(t *testing.T, without string, length time.Duration) {
	var mu sync.Mutex
	var all []time.Duration
	timed := func(what string, do func() error) {
		begin := time.Now()
		err := do()
		took := time.Since(begin)
		if err != nil {
			t.Errorf("%s: %v (after %s)", what, err, took)
		}
		if took > servedLimit {
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
				w.liveOne(kindIn[home], "ns", timed)
				w.liveOne(splitKind, namespaceIn[home], timed)
				timed("list of all "+kindIn[home], func() error { return w.complete(kindIn[home], "") })
			}
		}()
	}
	running.Wait()
	slices.Sort(all)
	t.Logf("elsewhere %d calls: half of them up to %s, nine of ten up to %s, all up to %s",
		len(all), all[len(all)/2], all[len(all)*9/10], all[len(all)-1])
}

// liveOne is the life of an object.
func (w *world) liveOne(kind, namespace string, timed func(what string, do func() error)) {
	at := kind + " in " + namespace
	timed("create "+at, func() error { return w.create(kind, namespace, "live") })
	timed("get "+at, func() error { return w.get(kind, namespace, "live") })
	timed("update "+at, func() error { return w.update(kind, namespace, "live") })
	timed("delete "+at, func() error { return w.remove(kind, namespace, "live") })
	timed("list "+at, func() error { return w.complete(kind, namespace) })
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

// mustRefuse as what it is, and within the limit.
func mustRefuse(t *testing.T, what string, do func() error) error {
	begin := time.Now()
	err := do()
	took := time.Since(begin)
	switch {
	case err == nil:
		t.Errorf("%s: served after %s", what, took)
	case !apierrors.IsServiceUnavailable(err) && !apierrors.IsTimeout(err):
		t.Errorf("%s: refused after %s with %v", what, took, err)
	case took > refusalLimit:
		t.Errorf("%s: refused after %s only: %v", what, took, err)
	}
	return err
}
