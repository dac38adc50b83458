package e2e

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// stepServices: cluster IPs and node ports are never given twice, endpoint
// slices follow the pods, and a released address can be had again.
func stepServices(t *testing.T, c *Cluster) {
	ctx := context.Background()
	ns := namespace(t, c, "services")
	services := c.Client.CoreV1().Services(ns)
	must[any](t)(c.Client.AppsV1().Deployments(ns).Create(ctx, newDeployment("app", 3), metav1.CreateOptions{}))
	make := func(name string, kind corev1.ServiceType, ip string) (*corev1.Service, error) {
		return services.Create(ctx, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.ServiceSpec{
			Type: kind, ClusterIP: ip, Selector: map[string]string{"app": "app"}, Ports: []corev1.ServicePort{{Port: 80}}}}, metav1.CreateOptions{})
	}
	const n = 30
	made := [n]*corev1.Service{}
	inParallel(t, n, func(i int) (err error) {
		kind := corev1.ServiceTypeClusterIP
		if i%3 == 0 {
			kind = corev1.ServiceTypeNodePort
		}
		made[i], err = make(fmt.Sprintf("s%d", i), kind, "")
		return err
	})
	seen := map[string]string{}
	for _, service := range made {
		for _, address := range []string{service.Spec.ClusterIP, fmt.Sprint("port ", service.Spec.Ports[0].NodePort)} {
			if other := seen[address]; other != "" && address != "port 0" {
				t.Errorf("%s was given to %s and %s", address, other, service.Name)
			}
			seen[address] = service.Name
		}
	}
	ip := made[1].Spec.ClusterIP
	if _, err := make("thief", corev1.ServiceTypeClusterIP, ip); !apierrors.IsInvalid(err) {
		t.Errorf("address in use given again: %v", err)
	}
	if err := services.Delete(ctx, made[1].Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, "released address given again", func(context.Context) string {
		_, err := make("heir", corev1.ServiceTypeClusterIP, ip)
		return said(err)
	})
	eventually(t, 90*time.Second, "endpoints of 3 pods", func(ctx context.Context) string {
		slices, err := c.Client.DiscoveryV1().EndpointSlices(ns).List(ctx, metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=s0"})
		if err != nil {
			return said(err)
		}
		ready := 0
		for _, slice := range slices.Items {
			ready += len(slice.Endpoints)
		}
		return expectf(ready == 3, "%d in %d slices", ready, len(slices.Items))
	})
}

// stepRBAC: a token may do what its role says, until the binding goes.
func stepRBAC(t *testing.T, c *Cluster) {
	ctx := context.Background()
	ns := namespace(t, c, "rbac")
	core, rbac := c.Client.CoreV1(), c.Client.RbacV1()
	must[*corev1.ServiceAccount](t)(core.ServiceAccounts(ns).Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "reader"}}, metav1.CreateOptions{}))
	must[*rbacv1.Role](t)(rbac.Roles(ns).Create(ctx, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "read"},
		Rules: []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"get", "list"}}}}, metav1.CreateOptions{}))
	must[*rbacv1.RoleBinding](t)(rbac.RoleBindings(ns).Create(ctx, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "read"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "reader", Namespace: ns}},
		RoleRef:  rbacv1.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "Role", Name: "read"}}, metav1.CreateOptions{}))
	token := must[*authenticationv1.TokenRequest](t)(core.ServiceAccounts(ns).CreateToken(ctx, "reader", &authenticationv1.TokenRequest{}, metav1.CreateOptions{}))
	config := rest.AnonymousClientConfig(c.Config)
	config.BearerToken = token.Status.Token
	reader := must[*kubernetes.Clientset](t)(kubernetes.NewForConfig(config))
	eventually(t, 30*time.Second, "reader allowed", func(ctx context.Context) string {
		_, err := reader.CoreV1().ConfigMaps(ns).List(ctx, metav1.ListOptions{})
		return said(err)
	})
	if _, err := reader.CoreV1().Secrets(ns).List(ctx, metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("secrets: want Forbidden, got %v", err)
	}
	if _, err := reader.CoreV1().ConfigMaps("default").List(ctx, metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("another namespace: want Forbidden, got %v", err)
	}
	if err := rbac.RoleBindings(ns).Delete(ctx, "read", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, "reader refused", func(ctx context.Context) string {
		_, err := reader.CoreV1().ConfigMaps(ns).List(ctx, metav1.ListOptions{})
		return expectf(apierrors.IsForbidden(err), "got %v", err)
	})
}

// stepLeaderElection: one leader at a time, and the next when it stops; the
// components' own leases are renewed.
func stepLeaderElection(t *testing.T, c *Cluster) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ns := namespace(t, c, "leases")
	var leaders atomic.Int32
	elected := make(chan string, 8)
	candidate := func(ctx context.Context, name string) {
		lock := &resourcelock.LeaseLock{LeaseMeta: metav1.ObjectMeta{Name: "lock", Namespace: ns},
			Client: c.Client.CoordinationV1(), LockConfig: resourcelock.ResourceLockConfig{Identity: name}}
		leaderelection.RunOrDie(ctx, leaderelection.LeaderElectionConfig{Lock: lock, ReleaseOnCancel: true,
			LeaseDuration: 6 * time.Second, RenewDeadline: 4 * time.Second, RetryPeriod: 500 * time.Millisecond,
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: func(ctx context.Context) {
					if leaders.Add(1) > 1 {
						t.Errorf("%s leads beside another", name)
					}
					elected <- name
					<-ctx.Done()
				},
				OnStoppedLeading: func() {},
			}})
	}
	stop := map[string]context.CancelFunc{}
	for _, name := range []string{"a", "b"} {
		own, end := context.WithCancel(ctx)
		stop[name] = end
		go candidate(own, name)
	}
	next := func() string {
		t.Helper()
		select {
		case name := <-elected:
			return name
		case <-time.After(30 * time.Second):
			t.Fatal("nobody was elected within 30 s")
			return ""
		}
	}
	first := next()
	leaders.Add(-1)
	stop[first]()
	if second := next(); second == first {
		t.Errorf("%s was elected after it stopped", second)
	}
	for _, name := range []string{"kube-controller-manager", "kube-scheduler"} {
		var before metav1.MicroTime
		eventually(t, 30*time.Second, "lease of "+name+" renewed", func(ctx context.Context) string {
			lease, err := c.Client.CoordinationV1().Leases("kube-system").Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return said(err)
			}
			if before.IsZero() {
				before = *lease.Spec.RenewTime
			}
			return expectf(lease.Spec.RenewTime.After(before.Time), "renewed at %s only", before)
		})
	}
}

// stepServerSideApply: owners of fields, a conflict, force, and removal.
func stepServerSideApply(t *testing.T, c *Cluster) {
	ctx := context.Background()
	ns := namespace(t, c, "apply")
	maps := c.Client.CoreV1().ConfigMaps(ns)
	apply := func(manager string, force bool, data map[string]string) (*corev1.ConfigMap, error) {
		return maps.Apply(ctx, applycorev1.ConfigMap("shared", ns).WithData(data), metav1.ApplyOptions{FieldManager: manager, Force: force})
	}
	first := must[*corev1.ConfigMap](t)(apply("one", false, map[string]string{"a": "1", "b": "1"}))
	again := must[*corev1.ConfigMap](t)(apply("one", false, map[string]string{"a": "1", "b": "1"}))
	if first.ResourceVersion != again.ResourceVersion {
		t.Errorf("the same apply wrote again: resource version %s, then %s", first.ResourceVersion, again.ResourceVersion)
	}
	if _, err := apply("two", false, map[string]string{"b": "2"}); !apierrors.IsConflict(err) {
		t.Errorf("another manager's field: want Conflict, got %v", err)
	}
	must[*corev1.ConfigMap](t)(apply("two", true, map[string]string{"b": "2", "c": "2"}))
	must[*corev1.ConfigMap](t)(apply("one", false, map[string]string{}))
	got := must[*corev1.ConfigMap](t)(maps.Get(ctx, "shared", metav1.GetOptions{}))
	if want := map[string]string{"b": "2", "c": "2"}; fmt.Sprint(got.Data) != fmt.Sprint(want) {
		t.Errorf("data %v, want %v", got.Data, want)
	}
	if len(got.ManagedFields) != 1 || got.ManagedFields[0].Manager != "two" {
		t.Errorf("managed fields %v, want those of two alone", got.ManagedFields)
	}
}
