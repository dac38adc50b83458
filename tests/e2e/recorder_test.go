package e2e

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
)

// Recorder follows whole kinds through the day with plain watches and holds every
// event against what came before it: none lost, none twice, none out of order.
type Recorder struct {
	cluster *Cluster
	streams []*stream
}

type stream struct {
	resource schema.GroupVersionResource
	watch    watch.Interface

	mu       sync.Mutex
	state    map[string]string // namespace/name -> resource version
	last     int64
	events   int
	problems []string
	ended    bool
}

var recorded = []schema.GroupVersionResource{
	{Version: "v1", Resource: "configmaps"}, {Version: "v1", Resource: "secrets"}, {Version: "v1", Resource: "pods"},
	{Version: "v1", Resource: "events"}, {Group: "apps", Version: "v1", Resource: "replicasets"},
	{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"}, {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "rolebindings"},
	shirtResource,
}

// startRecorder begins each stream where a list ends.
func startRecorder(t *testing.T, c *Cluster) *Recorder {
	t.Helper()
	r := &Recorder{cluster: c}
	for _, resource := range recorded {
		list := must[*unstructured.UnstructuredList](t)(c.Dynamic.Resource(resource).List(context.Background(), metav1.ListOptions{}))
		s := &stream{resource: resource, state: versions(list), last: revisionOf(t, list.GetResourceVersion())}
		s.watch = must[watch.Interface](t)(c.Dynamic.Resource(resource).Watch(context.Background(),
			metav1.ListOptions{ResourceVersion: list.GetResourceVersion(), AllowWatchBookmarks: true}))
		r.streams = append(r.streams, s)
		go s.follow()
		t.Cleanup(s.watch.Stop)
	}
	return r
}

func versions(list *unstructured.UnstructuredList) map[string]string {
	state := map[string]string{}
	for _, item := range list.Items {
		state[item.GetNamespace()+"/"+item.GetName()] = item.GetResourceVersion()
	}
	return state
}

func (s *stream) follow() {
	for event := range s.watch.ResultChan() {
		s.mu.Lock()
		s.take(event)
		s.mu.Unlock()
	}
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
}

// take holds mu.
func (s *stream) take(event watch.Event) {
	object, ok := event.Object.(*unstructured.Unstructured)
	if !ok || event.Type == watch.Error {
		s.complain("%s %v", event.Type, event.Object)
		return
	}
	revision, err := strconv.ParseInt(object.GetResourceVersion(), 10, 64)
	if err != nil || revision < s.last || revision == s.last && event.Type != watch.Bookmark {
		s.complain("%s %s of revision %s after %d", event.Type, object.GetName(), object.GetResourceVersion(), s.last)
	}
	s.last = max(s.last, revision)
	if event.Type == watch.Bookmark {
		return
	}
	s.events++
	key := object.GetNamespace() + "/" + object.GetName()
	_, known := s.state[key]
	if known == (event.Type == watch.Added) {
		s.complain("%s %s at %d, which was known: %t", event.Type, key, revision, known)
	}
	if event.Type == watch.Deleted {
		delete(s.state, key)
	} else {
		s.state[key] = object.GetResourceVersion()
	}
}

func (s *stream) complain(format string, args ...any) {
	if len(s.problems) < 5 {
		s.problems = append(s.problems, fmt.Sprintf(format, args...))
	}
}

// check: at the end of the day each stream has what a list has.
func (r *Recorder) check(t *testing.T) {
	total := 0
	for _, s := range r.streams {
		eventually(t, 30*time.Second, "the watch of "+s.resource.Resource+" has what a list has", func(ctx context.Context) string {
			list, err := r.cluster.Dynamic.Resource(s.resource).List(ctx, metav1.ListOptions{})
			if err != nil {
				return said(err)
			}
			return s.differs(versions(list))
		})
		s.mu.Lock()
		total += s.events
		for _, problem := range s.problems {
			t.Errorf("%s: %s", s.resource.Resource, problem)
		}
		if s.ended {
			t.Errorf("%s: the watch ended after %d events", s.resource.Resource, s.events)
		}
		s.mu.Unlock()
		s.watch.Stop()
	}
	t.Logf("%d events in %d watches", total, len(r.streams))
}

func (s *stream) differs(want map[string]string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, revision := range want {
		if s.state[key] != revision {
			return fmt.Sprintf("%s is at %q, want %s", key, s.state[key], revision)
		}
	}
	return expectf(len(s.state) == len(want), "%d objects, want %d", len(s.state), len(want))
}
