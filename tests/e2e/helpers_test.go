package e2e

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func quantity(text string) resource.Quantity { return resource.MustParse(text) }

func itoa(n int) string { return strconv.Itoa(n) }

// namespace creates one and waits until pods can be made in it.
func namespace(t *testing.T, c *Cluster, name string) string {
	t.Helper()
	must[*corev1.Namespace](t)(c.Client.CoreV1().Namespaces().Create(context.Background(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}))
	// A controller-manager that lost its lease while the API server restarted is started again.
	eventually(t, 3*time.Minute, "service account of namespace "+name, func(ctx context.Context) string {
		_, err := c.Client.CoreV1().ServiceAccounts(name).Get(ctx, "default", metav1.GetOptions{})
		return said(err)
	})
	return name
}

// inParallel runs work(0) to work(n-1) on 16 goroutines and reports the first error.
func inParallel(t *testing.T, n int, work func(i int) error) {
	t.Helper()
	next := make(chan int)
	var group sync.WaitGroup
	var once sync.Once
	var first error
	for range 16 {
		group.Add(1)
		go func() {
			defer group.Done()
			for i := range next {
				if err := work(i); err != nil {
					once.Do(func() { first = err })
				}
			}
		}()
	}
	for i := range n {
		next <- i
	}
	close(next)
	group.Wait()
	if first != nil {
		t.Fatal(first)
	}
}

func configMap(name string, labels map[string]string, owners ...metav1.OwnerReference) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels, OwnerReferences: owners},
		Data: map[string]string{"v": "0"}}
}

// gone is "" when err says that the object is not there.
func gone(err error) string {
	if apierrors.IsNotFound(err) {
		return ""
	}
	if err != nil {
		return err.Error()
	}
	return "still there"
}
