package e2e

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
)

func revisionOf(t *testing.T, text string) int64 {
	t.Helper()
	return must[int64](t)(strconv.ParseInt(text, 10, 64))
}

// revisions of all shirts, by name.
func shirtRevisions(t *testing.T, c *Cluster) map[string]string {
	t.Helper()
	list := must[*unstructured.UnstructuredList](t)(shirts(c, shirtNamespace).List(context.Background(), metav1.ListOptions{}))
	all := map[string]string{}
	for _, item := range list.Items {
		all[item.GetName()] = item.GetResourceVersion()
	}
	return all
}

// stepRestart: an ordinary restart keeps all data, and every resource version of
// the history window stays good.
func stepRestart(t *testing.T, c *Cluster) {
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	ns := namespace(t, c, "restart")
	maps := c.Client.CoreV1().ConfigMaps(ns)
	first := must[*corev1.ConfigMap](t)(maps.Create(ctx, configMap("kept", nil), metav1.CreateOptions{}))
	must[*corev1.ConfigMap](t)(maps.Create(ctx, configMap("dropped", nil), metav1.CreateOptions{}))
	last := must[*corev1.ConfigMap](t)(maps.Patch(ctx, "kept", types.MergePatchType, []byte(`{"data":{"v":"1"}}`), metav1.PatchOptions{}))
	if err := maps.Delete(ctx, "dropped", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	before := shirtRevisions(t, c)
	page := must[*unstructured.UnstructuredList](t)(shirts(c, shirtNamespace).List(ctx, metav1.ListOptions{Limit: 500}))

	if err := c.StopAPIServer(); err != nil {
		t.Error(err)
	}
	began := time.Now()
	if err := c.StartAPIServer(); err != nil {
		t.Fatal(err)
	}
	t.Logf("ready again after %.1f s", time.Since(began).Seconds())

	after := shirtRevisions(t, c)
	sameRevisions(t, before, after)
	rest := must[*unstructured.UnstructuredList](t)(shirts(c, shirtNamespace).List(ctx, metav1.ListOptions{Limit: shirtCount, Continue: page.GetContinue()}))
	if len(page.Items)+len(rest.Items) != shirtCount || rest.GetResourceVersion() != page.GetResourceVersion() {
		t.Errorf("the list that began before the restart has %d + %d shirts of revisions %s and %s", len(page.Items), len(rest.Items), page.GetResourceVersion(), rest.GetResourceVersion())
	}
	past := must[*corev1.ConfigMapList](t)(maps.List(ctx, metav1.ListOptions{Limit: 100, ResourceVersion: first.ResourceVersion, ResourceVersionMatch: metav1.ResourceVersionMatchExact}))
	for _, item := range past.Items {
		if item.Name == "dropped" || item.Name == "kept" && item.Data["v"] != "0" {
			t.Errorf("a list at revision %s shows %s with %v", first.ResourceVersion, item.Name, item.Data)
		}
	}
	if !c.Variant.WatchCache { // the watch cache itself begins at the restart
		w := must[watch.Interface](t)(maps.Watch(ctx, metav1.ListOptions{ResourceVersion: first.ResourceVersion, FieldSelector: "metadata.name!=kube-root-ca.crt"}))
		for _, want := range []string{"ADDED dropped", "MODIFIED kept", "DELETED dropped"} {
			event := <-w.ResultChan()
			item, ok := event.Object.(*corev1.ConfigMap)
			if !ok || string(event.Type)+" "+item.Name != want {
				t.Errorf("a watch from before the restart says %s %v, want %s", event.Type, event.Object, want)
			}
		}
		w.Stop()
	}
	fresh := must[*corev1.ConfigMap](t)(maps.Create(ctx, configMap("fresh", nil), metav1.CreateOptions{}))
	if revisionOf(t, fresh.ResourceVersion) <= revisionOf(t, last.ResourceVersion) {
		t.Errorf("resource version %s after the restart, %s before", fresh.ResourceVersion, last.ResourceVersion)
	}
	deploymentIs(t, c, "deployment", "web", "image:2", 50)
}

// stepCompaction: a list goes on over pages of one revision whatever is written
// meanwhile; when its revision is compacted away it says so and offers a token
// that goes on without consistency.
func stepCompaction(t *testing.T, c *Cluster) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	c.StopControllers()
	list := func(token string, limit int64) (*unstructured.UnstructuredList, error) {
		return shirts(c, shirtNamespace).List(ctx, metav1.ListOptions{Limit: limit, Continue: token})
	}
	one := must[*unstructured.UnstructuredList](t)(list("", 500))
	touched := must[*unstructured.Unstructured](t)(shirts(c, shirtNamespace).Patch(ctx, "shirt-0700", types.MergePatchType, []byte(`{"metadata":{"annotations":{"page":"two"}}}`), metav1.PatchOptions{}))
	two := must[*unstructured.UnstructuredList](t)(list(one.GetContinue(), 500))
	if two.GetResourceVersion() != one.GetResourceVersion() {
		t.Errorf("page two is of revision %s, page one of %s", two.GetResourceVersion(), one.GetResourceVersion())
	}
	for _, item := range two.Items {
		if item.GetAnnotations()["page"] == "two" {
			t.Error("page two shows a write that came after page one")
		}
	}
	direct := must[bool](t)(c.Storage.CompactTo(revisionOf(t, touched.GetResourceVersion())))
	if !direct {
		if err := c.StopAPIServer(); err != nil {
			t.Error(err)
		}
		if err := c.StartAPIServer(c.Storage.ShortHistory()...); err != nil {
			t.Fatal(err)
		}
	}
	var expired *apierrors.StatusError
	eventually(t, 3*time.Minute, "the old token expires", func(context.Context) string {
		_, err := list(one.GetContinue(), 500)
		if !apierrors.IsResourceExpired(err) || !errors.As(err, &expired) {
			// History ends behind the newest write: there must be one.
			_, _ = shirts(c, shirtNamespace).Patch(ctx, "shirt-0001", types.MergePatchType,
				[]byte(fmt.Sprintf(`{"metadata":{"annotations":{"tick":"%d"}}}`, time.Now().UnixNano())), metav1.PatchOptions{})
			return fmt.Sprintf("still answered: %v", err)
		}
		return ""
	})
	token := expired.Status().ListMeta.Continue
	if token == "" {
		t.Fatal("410 without a token to go on with")
	}
	rest := must[*unstructured.UnstructuredList](t)(list(token, shirtCount))
	if got := len(one.Items) + len(rest.Items); got != shirtCount {
		t.Errorf("%d shirts over the compaction, want %d", got, shirtCount)
	}
	_, err := shirts(c, shirtNamespace).List(ctx, metav1.ListOptions{Limit: 10, ResourceVersion: one.GetResourceVersion(), ResourceVersionMatch: metav1.ResourceVersionMatchExact})
	if !apierrors.IsResourceExpired(err) {
		t.Errorf("a list at a compacted revision: want 410, got %v", err)
	}
}
