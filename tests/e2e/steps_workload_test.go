package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const nodeCount = 5

// stepNodes: kwok keeps nodes ready, and their leases fresh.
func stepNodes(t *testing.T, c *Cluster) {
	ctx := context.Background()
	for i := range nodeCount {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("node-%d", i),
			Labels: map[string]string{"type": "kwok"}, Annotations: map[string]string{"kwok.x-k8s.io/node": "fake"}}}
		node.Status.Allocatable = corev1.ResourceList{"cpu": quantity("32"), "memory": quantity("256Gi"), "pods": quantity("110")}
		node.Status.Capacity = node.Status.Allocatable
		must[*corev1.Node](t)(c.Client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{}))
	}
	eventually(t, 90*time.Second, "nodes ready", func(ctx context.Context) string {
		nodes, err := c.Client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return said(err)
		}
		ready := 0
		for _, node := range nodes.Items {
			for _, condition := range node.Status.Conditions {
				if condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue {
					ready++
				}
			}
		}
		return expectf(ready == nodeCount, "%d of %d", ready, nodeCount)
	})
	eventually(t, 60*time.Second, "node leases", func(ctx context.Context) string {
		leases, err := c.Client.CoordinationV1().Leases("kube-node-lease").List(ctx, metav1.ListOptions{})
		if err != nil {
			return said(err)
		}
		return expectf(len(leases.Items) == nodeCount, "%d of %d", len(leases.Items), nodeCount)
	})
}

func podTemplate(app, image string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": app}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: image,
			Ports: []corev1.ContainerPort{{ContainerPort: 80}}}}},
	}
}

func newDeployment(name string, replicas int32) *appsv1.Deployment {
	return &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: appsv1.DeploymentSpec{Replicas: &replicas,
		Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}}, Template: podTemplate(name, "image:1")}}
}

// deploymentIs waits until the deployment has exactly n ready pods, all of image.
func deploymentIs(t *testing.T, c *Cluster, ns, name, image string, n int32) {
	t.Helper()
	eventually(t, 180*time.Second, fmt.Sprintf("%s with %d pods of %s", name, n, image), func(ctx context.Context) string {
		d, err := c.Client.AppsV1().Deployments(ns).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return said(err)
		}
		s := d.Status
		if s.ObservedGeneration < d.Generation || s.UpdatedReplicas != n || s.ReadyReplicas != n || s.Replicas != n {
			return fmt.Sprintf("generation %d of %d, %d updated, %d ready, %d in all", s.ObservedGeneration, d.Generation,
				s.UpdatedReplicas, s.ReadyReplicas, s.Replicas)
		}
		pods, err := c.Client.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{LabelSelector: "app=" + name})
		if err != nil {
			return said(err)
		}
		right := 0
		for _, pod := range pods.Items {
			if pod.Spec.Containers[0].Image == image && pod.Status.Phase == corev1.PodRunning && pod.Spec.NodeName != "" {
				right++
			}
		}
		return expectf(right == int(n) && len(pods.Items) == right, "%d of %d pods run %s", right, len(pods.Items), image)
	})
}

// stepDeployment: scaled to 50, then rolled.
func stepDeployment(t *testing.T, c *Cluster) {
	ctx := context.Background()
	ns := namespace(t, c, "deployment")
	deployments := c.Client.AppsV1().Deployments(ns)
	must[*appsv1.Deployment](t)(deployments.Create(ctx, newDeployment("web", 5), metav1.CreateOptions{}))
	deploymentIs(t, c, ns, "web", "image:1", 5)
	patch := func(text string) {
		t.Helper()
		must[*appsv1.Deployment](t)(deployments.Patch(ctx, "web", types.StrategicMergePatchType, []byte(text), metav1.PatchOptions{}))
	}
	patch(`{"spec":{"replicas":50}}`)
	deploymentIs(t, c, ns, "web", "image:1", 50)
	patch(`{"spec":{"template":{"spec":{"containers":[{"name":"main","image":"image:2"}]}}}}`)
	deploymentIs(t, c, ns, "web", "image:2", 50)
	sets := must[*appsv1.ReplicaSetList](t)(c.Client.AppsV1().ReplicaSets(ns).List(ctx, metav1.ListOptions{}))
	if len(sets.Items) != 2 {
		t.Errorf("%d replica sets, want the old and the new", len(sets.Items))
	}
}

// stepStatefulSet: ordinals in order, a deleted pod comes back under its name.
func stepStatefulSet(t *testing.T, c *Cluster) {
	ctx := context.Background()
	ns := namespace(t, c, "statefulset")
	replicas := int32(4)
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "db"}, Spec: appsv1.StatefulSetSpec{Replicas: &replicas,
		ServiceName: "db", Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "db"}}, Template: podTemplate("db", "image:1")}}
	must[*appsv1.StatefulSet](t)(c.Client.AppsV1().StatefulSets(ns).Create(ctx, set, metav1.CreateOptions{}))
	podsAre := func(n int) {
		t.Helper()
		eventually(t, 120*time.Second, fmt.Sprintf("%d ordinals", n), func(ctx context.Context) string {
			pods, err := c.Client.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{})
			if err != nil {
				return said(err)
			}
			running := map[string]bool{}
			for _, pod := range pods.Items {
				running[pod.Name] = pod.Status.Phase == corev1.PodRunning && pod.DeletionTimestamp == nil
			}
			for i := range n {
				if name := fmt.Sprintf("db-%d", i); !running[name] {
					return name + " does not run"
				}
			}
			return expectf(len(pods.Items) == n, "%d pods", len(pods.Items))
		})
	}
	podsAre(4)
	old := must[*corev1.Pod](t)(c.Client.CoreV1().Pods(ns).Get(ctx, "db-1", metav1.GetOptions{}))
	if err := c.Client.CoreV1().Pods(ns).Delete(ctx, "db-1", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, 60*time.Second, "db-1 replaced", func(ctx context.Context) string {
		pod, err := c.Client.CoreV1().Pods(ns).Get(ctx, "db-1", metav1.GetOptions{})
		if err != nil {
			return said(err)
		}
		return expectf(pod.UID != old.UID && pod.Status.Phase == corev1.PodRunning, "UID %s, %s", pod.UID, pod.Status.Phase)
	})
	must[*appsv1.StatefulSet](t)(c.Client.AppsV1().StatefulSets(ns).Patch(ctx, "db", types.MergePatchType, []byte(`{"spec":{"replicas":2}}`), metav1.PatchOptions{}))
	podsAre(2)
}

// stepJobs: completions are counted exactly, by finalizers on the pods.
func stepJobs(t *testing.T, c *Cluster) {
	ctx := context.Background()
	ns := namespace(t, c, "jobs")
	template := podTemplate("job", "image:1")
	template.Spec.RestartPolicy = corev1.RestartPolicyNever
	parallelism, completions := int32(4), int32(12)
	for _, name := range []string{"one", "two"} {
		job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: batchv1.JobSpec{Parallelism: &parallelism, Completions: &completions, Template: template}}
		must[*batchv1.Job](t)(c.Client.BatchV1().Jobs(ns).Create(ctx, job, metav1.CreateOptions{}))
	}
	eventually(t, 180*time.Second, "jobs complete", func(ctx context.Context) string {
		jobs, err := c.Client.BatchV1().Jobs(ns).List(ctx, metav1.ListOptions{})
		if err != nil {
			return said(err)
		}
		for _, job := range jobs.Items {
			if job.Status.Succeeded != completions || job.Status.CompletionTime == nil {
				return fmt.Sprintf("%s: %d of %d succeeded, %d failed", job.Name, job.Status.Succeeded, completions, job.Status.Failed)
			}
		}
		return expectf(len(jobs.Items) == 2, "%d jobs", len(jobs.Items))
	})
}
