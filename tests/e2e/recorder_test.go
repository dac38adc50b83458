package e2e

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
)

// Recorder follows whole kinds through the day with plain watches and holds every
// event against what came before it: none lost, none twice, none out of order. The
// watch cache ends the watch of a client that is too slow for it (ten events are
// kept); as any client does, the recorder goes on behind the last event then.
type Recorder struct {
	cluster *Cluster
	streams []*stream
}

type stream struct {
	resource schema.GroupVersionResource
	client   dynamic.ResourceInterface
	stop     context.CancelFunc

	mu       sync.Mutex
	state    map[string]string // namespace/name -> resource version
	last     int64
	events   int
	problems []string
	ends     int // of watches, by the server
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
		ctx, stop := context.WithCancel(context.Background())
		t.Cleanup(stop)
		s := &stream{resource: resource, client: c.Dynamic.Resource(resource), stop: stop,
			state: versions(list), last: revisionOf(t, list.GetResourceVersion())}
		r.streams = append(r.streams, s)
		go s.follow(ctx, must[watch.Interface](t)(s.begin(ctx)))
	}
	return r
}

// begin watches behind the last event.
func (s *stream) begin(ctx context.Context) (watch.Interface, error) {
	s.mu.Lock()
	last := strconv.FormatInt(s.last, 10)
	s.mu.Unlock()
	return s.client.Watch(ctx, metav1.ListOptions{ResourceVersion: last, AllowWatchBookmarks: true})
}

func versions(list *unstructured.UnstructuredList) map[string]string {
	state := map[string]string{}
	for _, item := range list.Items {
		state[item.GetNamespace()+"/"+item.GetName()] = item.GetResourceVersion()
	}
	return state
}

func (s *stream) follow(ctx context.Context, w watch.Interface) {
	for {
		for event := range w.ResultChan() {
			s.mu.Lock()
			s.take(event)
			s.mu.Unlock()
		}
		if ctx.Err() != nil {
			return
		}
		next, err := s.begin(ctx)
		s.mu.Lock()
		s.ends++
		if err != nil {
			s.complain("watching again after %d: %v", s.last, err)
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		w = next
	}
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
		t.Run(s.resource.Resource, func(t *testing.T) {
			defer s.stop()
			defer s.report(t, r.cluster)
			eventually(t, 30*time.Second, "the watch has what a list has", func(ctx context.Context) string {
				list, err := s.client.List(ctx, metav1.ListOptions{})
				if err != nil {
					return said(err)
				}
				return s.differs(versions(list))
			})
		})
		s.mu.Lock()
		total += s.events
		s.mu.Unlock()
	}
	t.Logf("%d events in %d watches; the server ended %v watches of slow clients",
		total, len(r.streams), metricOf(t, r.cluster, "apiserver_terminated_watchers_total{"))
}

// report: what was wrong with the events. A watch may have ended only if the
// server says that it ended watches of slow clients.
func (s *stream) report(t *testing.T, c *Cluster) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, problem := range s.problems {
		t.Error(problem)
	}
	if s.ends == 0 {
		return
	}
	slow := metricOf(t, c, `apiserver_terminated_watchers_total{resource="`+s.resource.GroupResource().String()+`"} `)
	t.Logf("the watch ended %d times; the server ended %v watches of slow clients; last revision %d", s.ends, slow, s.last)
	if float64(s.ends) > slow {
		t.Errorf("the watch ended %d times, %v of them because the client was slow", s.ends, slow)
	}
}

// metricOf is the sum of the series of /metrics that begin so.
func metricOf(t *testing.T, c *Cluster, series string) float64 {
	t.Helper()
	sum := 0.0
	for _, line := range strings.Split(string(must[[]byte](t)(c.Raw(context.Background(), "/metrics"))), "\n") {
		if strings.HasPrefix(line, series) {
			sum += must[float64](t)(strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64))
		}
	}
	return sum
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
