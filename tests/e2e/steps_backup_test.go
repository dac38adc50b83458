package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// stepBackup: a copy taken under writes is of one revision. What was written
// before it is back after a restore, what came after it is not, and no resource
// version from before the restore is good any more.
func stepBackup(t *testing.T, c *Cluster) {
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	maps := c.Client.CoreV1().ConfigMaps(namespace(t, c, "backup"))
	before := must[*corev1.ConfigMap](t)(maps.Create(ctx, configMap("before", nil), metav1.CreateOptions{}))
	shirtsBefore := shirtRevisions(t, c)

	writing, stop := context.WithCancel(ctx)
	written := make(chan int, 1)
	go func() {
		n := 0
		for ; writing.Err() == nil; n++ {
			if _, err := maps.Create(ctx, configMap(fmt.Sprintf("during-%06d", n), nil), metav1.CreateOptions{}); err != nil {
				t.Error(err)
				break
			}
		}
		written <- n
	}()
	copied := filepath.Join(c.Dir, "backup")
	has, err := c.Storage.Backup(copied)
	stop()
	n := <-written
	if err != nil {
		t.Fatal(err)
	}
	if !has {
		t.Log("this storage has no tool for backups")
		return
	}
	after := must[*corev1.ConfigMap](t)(maps.Create(ctx, configMap("too-late", nil), metav1.CreateOptions{}))
	if err := c.StopAPIServer(); err != nil {
		t.Error(err)
	}
	flags, err := c.Storage.Restore(copied)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.startAPIServer(flags, nil); err != nil {
		t.Fatal(err)
	}

	found := must[*corev1.ConfigMap](t)(maps.Get(ctx, "before", metav1.GetOptions{}))
	if found.ResourceVersion != before.ResourceVersion {
		t.Errorf("the object has resource version %s, before %s", found.ResourceVersion, before.ResourceVersion)
	}
	if _, err := maps.Get(ctx, "too-late", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("an object from after the backup: %v", err)
	}
	// One revision: of the objects written meanwhile a beginning is there, without holes.
	during := must[*corev1.ConfigMapList](t)(maps.List(ctx, metav1.ListOptions{}))
	there := 0
	for _, item := range during.Items {
		if item.Name == fmt.Sprintf("during-%06d", there) {
			there++
		}
	}
	if want := there + 1 + 1; len(during.Items) != want && len(during.Items) != want-1 { // kube-root-ca.crt may be there
		t.Errorf("%d objects, of them %d without holes", len(during.Items), there)
	}
	t.Logf("%d of %d objects that were written during the backup are in it", there, n)
	sameRevisions(t, shirtsBefore, shirtRevisions(t, c))

	fresh := must[*corev1.ConfigMap](t)(maps.Create(ctx, configMap("fresh", nil), metav1.CreateOptions{}))
	if revisionOf(t, fresh.ResourceVersion) <= revisionOf(t, after.ResourceVersion) {
		t.Errorf("revision %s was given before the restore, %s after it", after.ResourceVersion, fresh.ResourceVersion)
	}
	for _, old := range []string{before.ResourceVersion, after.ResourceVersion} {
		if _, err := maps.List(ctx, metav1.ListOptions{ResourceVersion: old, ResourceVersionMatch: metav1.ResourceVersionMatchExact}); !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
			t.Errorf("a list at revision %s from before the restore: %v", old, err)
		}
		mustExpire(t, maps.Watch, old)
	}
}

func sameRevisions(t *testing.T, before, after map[string]string) {
	t.Helper()
	for name, revision := range before {
		if after[name] != revision {
			t.Errorf("shirt %s had resource version %s, now %q", name, revision, after[name])
		}
	}
	if len(after) != len(before) {
		t.Errorf("%d shirts, %d before", len(after), len(before))
	}
}

// mustExpire: 410 as the answer or as the first event.
func mustExpire(t *testing.T, start func(context.Context, metav1.ListOptions) (watch.Interface, error), revision string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	w, err := start(ctx, metav1.ListOptions{ResourceVersion: revision})
	if err == nil {
		defer w.Stop()
		err = apierrors.FromObject((<-w.ResultChan()).Object)
	}
	if !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
		t.Errorf("a watch from revision %s from before the restore: %v", revision, err)
	}
}
