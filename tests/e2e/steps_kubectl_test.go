package e2e

import (
	"bufio"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// stepKubectlWatch: `kubectl get -w` prints each change once, in order.
func stepKubectlWatch(t *testing.T, c *Cluster) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	ns := namespace(t, c, "kubectl")
	maps := c.Client.CoreV1().ConfigMaps(ns)
	must[*corev1.ConfigMap](t)(maps.Create(ctx, configMap("before", map[string]string{"watch": "me"}), metav1.CreateOptions{}))
	cmd := exec.CommandContext(ctx, filepath.Join(c.Out, "bin", "kubectl"), "--kubeconfig="+c.Kubeconfig(), "--namespace="+ns,
		"get", "configmaps", "-l", "watch=me", "-w", "--output-watch-events", "-o", `jsonpath={.type} {.object.metadata.name} {.object.data.v}{"\n"}`)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(stdout); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	expect := func(want string) {
		t.Helper()
		select {
		case got := <-lines:
			if got != want {
				t.Errorf("kubectl printed %q, want %q", got, want)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("kubectl did not print %q within 30 s", want)
		}
	}
	expect("ADDED before 0")
	for i := range 5 {
		name := fmt.Sprintf("m%d", i)
		must[*corev1.ConfigMap](t)(maps.Create(ctx, configMap(name, map[string]string{"watch": "me"}), metav1.CreateOptions{}))
		must[*corev1.ConfigMap](t)(maps.Patch(ctx, name, types.MergePatchType, []byte(`{"data":{"v":"1"}}`), metav1.PatchOptions{}))
		if err := maps.Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"ADDED " + name + " 0", "MODIFIED " + name + " 1", "DELETED " + name + " 1"} {
			expect(want)
		}
	}
}
