package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
)

// stepNamespaceOf500: a namespace goes with all that is in it.
func stepNamespaceOf500(t *testing.T, c *Cluster) {
	ctx := context.Background()
	ns := namespace(t, c, "five-hundred")
	inParallel(t, 500, func(i int) (err error) {
		if i%5 == 0 {
			_, err = c.Client.CoreV1().Secrets(ns).Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("s-%d", i)}}, metav1.CreateOptions{})
		} else {
			_, err = c.Client.CoreV1().ConfigMaps(ns).Create(ctx, configMap(fmt.Sprintf("c-%d", i), nil), metav1.CreateOptions{})
		}
		return err
	})
	if err := c.Client.CoreV1().Namespaces().Delete(ctx, ns, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, 120*time.Second, "namespace gone", func(ctx context.Context) string {
		_, err := c.Client.CoreV1().Namespaces().Get(ctx, ns, metav1.GetOptions{})
		return gone(err)
	})
	maps := must[*corev1.ConfigMapList](t)(c.Client.CoreV1().ConfigMaps(ns).List(ctx, metav1.ListOptions{}))
	secrets := must[*corev1.SecretList](t)(c.Client.CoreV1().Secrets(ns).List(ctx, metav1.ListOptions{}))
	if len(maps.Items)+len(secrets.Items) != 0 {
		t.Errorf("%d config maps and %d secrets outlived their namespace", len(maps.Items), len(secrets.Items))
	}
}

// stepOwnerCascades: background, foreground, orphan, and a custom resource as owner.
func stepOwnerCascades(t *testing.T, c *Cluster) {
	ctx := context.Background()
	ns := namespace(t, c, "cascades")
	maps := c.Client.CoreV1().ConfigMaps(ns)
	family := func(owner metav1.OwnerReference, label string, n int) {
		t.Helper()
		inParallel(t, n, func(i int) error {
			_, err := maps.Create(ctx, configMap(fmt.Sprintf("%s-%d", label, i), map[string]string{"family": label}, owner), metav1.CreateOptions{})
			return err
		})
	}
	left := func(ctx context.Context, label string) ([]corev1.ConfigMap, error) {
		list, err := maps.List(ctx, metav1.ListOptions{LabelSelector: "family=" + label})
		if err != nil {
			return nil, err
		}
		return list.Items, nil
	}
	block := true
	for _, policy := range []metav1.DeletionPropagation{metav1.DeletePropagationBackground, metav1.DeletePropagationForeground, metav1.DeletePropagationOrphan} {
		label := strings.ToLower(string(policy))
		owner := must[*corev1.ConfigMap](t)(maps.Create(ctx, configMap("owner-"+label, nil), metav1.CreateOptions{}))
		family(metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: owner.Name, UID: owner.UID, BlockOwnerDeletion: &block}, label, 20)
		if err := maps.Delete(ctx, owner.Name, metav1.DeleteOptions{PropagationPolicy: &policy}); err != nil {
			t.Fatal(err)
		}
		eventually(t, 90*time.Second, label+": owner gone", func(ctx context.Context) string {
			_, err := maps.Get(ctx, owner.Name, metav1.GetOptions{})
			return gone(err)
		})
		eventually(t, 90*time.Second, label+": dependents", func(ctx context.Context) string {
			items, err := left(ctx, label)
			if err != nil {
				return said(err)
			}
			switch policy {
			case metav1.DeletePropagationBackground:
				return expectf(len(items) == 0, "%d are left", len(items))
			case metav1.DeletePropagationForeground: // the owner waited for them
				if len(items) != 0 {
					t.Fatalf("%s: %d dependents outlived the owner", label, len(items))
				}
				return ""
			}
			for _, item := range items {
				if len(item.OwnerReferences) != 0 {
					return item.Name + " still names its owner"
				}
			}
			return expectf(len(items) == 20, "%d of 20 orphans are left", len(items))
		})
	}
	shirt := must[*unstructured.Unstructured](t)(shirts(c, ns).Create(ctx, newShirt("owner", "red", "L", nil), metav1.CreateOptions{}))
	family(metav1.OwnerReference{APIVersion: shirt.GetAPIVersion(), Kind: shirt.GetKind(), Name: shirt.GetName(), UID: shirt.GetUID()}, "shirt", 10)
	if err := shirts(c, ns).Delete(ctx, "owner", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, 120*time.Second, "dependents of a custom resource gone", func(ctx context.Context) string {
		items, err := left(ctx, "shirt")
		return expectf(err == nil && len(items) == 0, "%d are left, %v", len(items), err)
	})
}

// stepEventTTL: an event lives as long as its TTL and no longer, and a watcher is told.
func stepEventTTL(t *testing.T, c *Cluster) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	ns := namespace(t, c, "events")
	events := c.Client.CoreV1().Events(ns)
	began := time.Now()
	event := must[*corev1.Event](t)(events.Create(ctx, &corev1.Event{ObjectMeta: metav1.ObjectMeta{Name: "tick"},
		InvolvedObject: corev1.ObjectReference{Kind: "Namespace", Name: ns, Namespace: ns}, Reason: "Test", Message: "short"}, metav1.CreateOptions{}))
	w := must[watch.Interface](t)(events.Watch(ctx, metav1.ListOptions{ResourceVersion: event.ResourceVersion, FieldSelector: "metadata.name=tick"}))
	defer w.Stop()
	for got := range w.ResultChan() {
		if got.Type != watch.Deleted {
			t.Fatalf("the watch says %s: %v", got.Type, got.Object)
		}
		if lived := time.Since(began); lived < EventTTL-time.Second || lived > EventTTL+45*time.Second {
			t.Errorf("the event lived %s, its TTL is %s", lived, EventTTL)
		}
		if _, err := events.Get(ctx, "tick", metav1.GetOptions{}); gone(err) != "" {
			t.Errorf("after DELETED a get says %v", err)
		}
		return
	}
	t.Fatal("the watch ended before the event expired")
}
