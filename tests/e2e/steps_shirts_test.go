package e2e

import (
	"context"
	"fmt"
	"math/rand"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/rest"
)

const (
	shirtCount     = 2000
	shirtNamespace = "shirts"
	shirtCRD       = `{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition",
"metadata":{"name":"shirts.stable.example.com"},
"spec":{"group":"stable.example.com","scope":"Namespaced","names":{"plural":"shirts","singular":"shirt","kind":"Shirt"},
"versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object","properties":{"spec":{"type":"object",
"properties":{"color":{"type":"string"},"size":{"type":"string"}}}}}},
"selectableFields":[{"jsonPath":".spec.color"},{"jsonPath":".spec.size"}]}]}}`
)

var (
	shirtResource = schema.GroupVersionResource{Group: "stable.example.com", Version: "v1", Resource: "shirts"}
	colors        = []string{"blue", "green", "red", "yellow"}
	sizes         = []string{"S", "M", "L"}
)

func shirts(c *Cluster, ns string) dynamic.ResourceInterface {
	return c.Dynamic.Resource(shirtResource).Namespace(ns)
}

func newShirt(name, color, size string, labels map[string]string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "stable.example.com/v1", "kind": "Shirt",
		"spec": map[string]any{"color": color, "size": size}}}
	u.SetName(name)
	u.SetLabels(labels)
	return u
}

// stepCRD: the definition is served soon after it is created.
func stepCRD(t *testing.T, c *Cluster) {
	ctx := context.Background()
	crd := &unstructured.Unstructured{}
	if err := crd.UnmarshalJSON([]byte(shirtCRD)); err != nil {
		t.Fatal(err)
	}
	crds := schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	must[*unstructured.Unstructured](t)(c.Dynamic.Resource(crds).Create(ctx, crd, metav1.CreateOptions{}))
	eventually(t, 60*time.Second, "shirts served", func(ctx context.Context) string {
		_, err := shirts(c, "default").List(ctx, metav1.ListOptions{Limit: 1})
		return said(err)
	})
}

// stepShirts: 2,000 custom resources, selected, watched and cached.
func stepShirts(t *testing.T, c *Cluster) {
	ctx := context.Background()
	ns := namespace(t, c, shirtNamespace)
	random := rand.New(rand.NewSource(1))
	all := make([]*unstructured.Unstructured, shirtCount)
	for i := range all {
		var marks map[string]string
		if i%7 != 0 { // some have no labels at all
			marks = map[string]string{"app": colors[random.Intn(4)], "n": itoa(random.Intn(20))}
		}
		all[i] = newShirt(fmt.Sprintf("shirt-%04d", i), colors[random.Intn(4)], sizes[random.Intn(3)], marks)
	}
	began := time.Now()
	inParallel(t, len(all), func(i int) error {
		_, err := shirts(c, ns).Create(ctx, all[i], metav1.CreateOptions{})
		return err
	})
	t.Logf("%d shirts created in %.1f s", shirtCount, time.Since(began).Seconds())
	t.Run("Selectors", func(t *testing.T) { shirtSelectors(t, c, all) })
	t.Run("WatchListInformer", func(t *testing.T) { shirtInformer(t, c) })
	t.Run("SelectedWatch", func(t *testing.T) { shirtWatch(t, c) })
}

// shirtSelectors compares each answer with apimachinery's own selectors on all objects.
func shirtSelectors(t *testing.T, c *Cluster, all []*unstructured.Unstructured) {
	for _, text := range []string{"app=blue", "app!=blue", "app in (blue,red)", "app notin (blue,red)", "app", "!app", "n>9", "n<3", "app,app notin (red),n>4"} {
		selector := must[labels.Selector](t)(labels.Parse(text))
		compare(t, c, metav1.ListOptions{LabelSelector: text}, all, func(u *unstructured.Unstructured) bool { return selector.Matches(labels.Set(u.GetLabels())) })
	}
	for _, text := range []string{"spec.color=blue", "spec.color!=blue", "spec.color=green,spec.size=L", "metadata.name=shirt-0042", "spec.size=XXL"} {
		selector := must[fields.Selector](t)(fields.ParseSelector(text))
		compare(t, c, metav1.ListOptions{FieldSelector: text}, all, func(u *unstructured.Unstructured) bool { return selector.Matches(shirtFields(u)) })
	}
}

func shirtFields(u *unstructured.Unstructured) fields.Set {
	color, _, _ := unstructured.NestedString(u.Object, "spec", "color")
	size, _, _ := unstructured.NestedString(u.Object, "spec", "size")
	return fields.Set{"metadata.name": u.GetName(), "metadata.namespace": shirtNamespace, "spec.color": color, "spec.size": size}
}

func compare(t *testing.T, c *Cluster, options metav1.ListOptions, all []*unstructured.Unstructured, match func(*unstructured.Unstructured) bool) {
	t.Helper()
	want := map[string]bool{}
	for _, u := range all {
		if match(u) {
			want[u.GetName()] = true
		}
	}
	for _, limit := range []int64{0, 300} {
		options.Limit = limit
		got := listAll(t, c, options)
		for _, name := range got {
			if !want[name] {
				t.Errorf("%v, limit %d: %s does not match", options, limit, name)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s%s limit %d: %d shirts, want %d", options.LabelSelector, options.FieldSelector, limit, len(got), len(want))
		}
	}
}

// listAll follows continue tokens; every page must be of one revision.
func listAll(t *testing.T, c *Cluster, options metav1.ListOptions) (names []string) {
	t.Helper()
	revision := ""
	for {
		page := must[*unstructured.UnstructuredList](t)(shirts(c, shirtNamespace).List(context.Background(), options))
		if revision != "" && page.GetResourceVersion() != revision {
			t.Errorf("a page of revision %s after one of %s", page.GetResourceVersion(), revision)
		}
		revision = page.GetResourceVersion()
		for _, item := range page.Items {
			names = append(names, item.GetName())
		}
		options.Continue = page.GetContinue()
		if options.Continue == "" {
			return names
		}
	}
}

// shirtInformer: a client-go informer streams its first list (WatchList) and
// ends with the same objects as a list, through 200 changes.
func shirtInformer(t *testing.T, c *Cluster) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var streamed, listed atomic.Int32
	config := rest.CopyConfig(c.Config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			switch {
			case r.URL.Query().Get("sendInitialEvents") == "true":
				streamed.Add(1)
			case r.URL.Query().Get("watch") == "":
				listed.Add(1)
			}
			return next.RoundTrip(r)
		})
	})
	client := must[*dynamic.DynamicClient](t)(dynamic.NewForConfig(config))
	factory := dynamicinformer.NewFilteredDynamicSharedInformerFactory(client, 0, shirtNamespace, nil)
	informer := factory.ForResource(shirtResource).Informer()
	factory.Start(ctx.Done())
	eventually(t, 60*time.Second, "informer synced", func(context.Context) string {
		return expectf(informer.HasSynced(), "%d in its store", len(informer.GetStore().List()))
	})
	if streamed.Load() == 0 || listed.Load() != 0 {
		t.Errorf("%d streamed and %d ordinary lists, want one streamed list", streamed.Load(), listed.Load())
	}
	inParallel(t, 200, func(i int) error {
		name := fmt.Sprintf("shirt-%04d", i)
		if i%4 == 0 {
			_, err := shirts(c, shirtNamespace).Create(ctx, newShirt("extra-"+itoa(i), "blue", "S", map[string]string{"extra": "yes"}), metav1.CreateOptions{})
			return err
		}
		_, err := shirts(c, shirtNamespace).Patch(ctx, name, types.MergePatchType, []byte(`{"metadata":{"annotations":{"touched":"yes"}}}`), metav1.PatchOptions{})
		return err
	})
	if err := shirts(c, shirtNamespace).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "extra=yes"}); err != nil {
		t.Fatal(err)
	}
	list := must[*unstructured.UnstructuredList](t)(shirts(c, shirtNamespace).List(ctx, metav1.ListOptions{}))
	eventually(t, 30*time.Second, "informer has what a list has", func(context.Context) string {
		store := informer.GetStore()
		for i := range list.Items {
			item := &list.Items[i]
			got, ok, err := store.GetByKey(shirtNamespace + "/" + item.GetName())
			if err != nil || !ok {
				return fmt.Sprintf("%s is missing (%v)", item.GetName(), err)
			}
			if rv := got.(*unstructured.Unstructured).GetResourceVersion(); rv != item.GetResourceVersion() {
				return fmt.Sprintf("%s is at %s, want %s", item.GetName(), rv, item.GetResourceVersion())
			}
		}
		return expectf(len(store.List()) == len(list.Items), "%d objects, want %d", len(store.List()), len(list.Items))
	})
	if len(list.Items) != shirtCount {
		t.Errorf("%d shirts, want %d", len(list.Items), shirtCount)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// shirtWatch: with a selector, an object that leaves the selection is DELETED and
// one that enters it is ADDED.
func shirtWatch(t *testing.T, c *Cluster) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	const name = "turncoat"
	created := must[*unstructured.Unstructured](t)(shirts(c, shirtNamespace).Create(ctx, newShirt(name, "green", "S", nil), metav1.CreateOptions{}))
	w := must[watch.Interface](t)(shirts(c, shirtNamespace).Watch(ctx, metav1.ListOptions{ResourceVersion: created.GetResourceVersion(), FieldSelector: "spec.color=blue"}))
	defer w.Stop()
	for _, color := range []string{"blue", "red", "blue"} {
		must[*unstructured.Unstructured](t)(shirts(c, shirtNamespace).Patch(ctx, name, types.MergePatchType, []byte(`{"spec":{"color":"`+color+`"}}`), metav1.PatchOptions{}))
	}
	must[*unstructured.Unstructured](t)(shirts(c, shirtNamespace).Patch(ctx, name, types.MergePatchType, []byte(`{"spec":{"size":"L"}}`), metav1.PatchOptions{}))
	if err := shirts(c, shirtNamespace).Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for event := range w.ResultChan() {
		got = append(got, string(event.Type))
		if len(got) == 5 {
			break
		}
	}
	if want := "ADDED DELETED ADDED MODIFIED DELETED"; strings.Join(got, " ") != want {
		t.Errorf("events %s, want %s", got, want)
	}
}
