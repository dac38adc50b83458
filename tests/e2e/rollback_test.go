package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
)

// round is a control plane that is stock, then patched, then stock again.
type round struct {
	*Cluster
	whole         *testing.T // servers end with it
	first, second *stockEtcd
	patched       *upgraded
}

// objects are all that an API server serves, by resource, namespace and name, as JSON
// without resource versions.
type objects map[string]string

// TestRollback: a stock control plane on etcd is upgraded in place, its objects are moved
// to databases of every kind, and it goes back to a stock API server on a new etcd. Each
// serves what the one before did.
func TestRollback(t *testing.T) {
	r := startRound(t)
	for _, s := range []struct {
		name string
		run  func(t *testing.T)
	}{
		{"StockIsUpgradedInPlace", r.upgrade},
		{"ObjectsMoveToOtherDatabases", r.moveAway},
		{"StockServesWhatWasExported", r.goBack},
		{"AndGoesOn", r.goesOn},
	} {
		if !t.Run(s.name, s.run) {
			t.FailNow()
		}
	}
}

func startRound(t *testing.T) *round {
	t.Helper()
	binary := filepath.Join(tools(t), "etcd")
	first := &stockEtcd{binary: binary}
	// aesgcm: an encrypted value is bound to its key.
	c := newCluster(t, Variant{Name: "rollback", WatchCache: true, Encryption: "aesgcm"}, first)
	r := &round{Cluster: c, whole: t, first: first, second: &stockEtcd{binary: binary}, patched: &upgraded{etcd: first}}
	r.patched.APIServer(c.Out) // finds stgctl
	r.patched.dir = c.Dir
	second := filepath.Join(c.Dir, "second")
	for _, dir := range []string{second, filepath.Join(c.Dir, "db")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.second.Start(second); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.second.Stop() })
	r.start(t, first)
	r.fill(t, "stock")
	return r
}

// start starts the API server for a storage; events live for an hour.
func (r *round) start(t *testing.T, storage Storage) {
	t.Helper()
	r.Storage = storage
	if err := r.startAPIServer([]string{"--event-ttl=1h"}, nil); err != nil {
		t.Fatal(err)
	}
}

func (r *round) stop(t *testing.T) {
	t.Helper()
	if err := r.StopAPIServer(); err != nil {
		t.Fatal(err)
	}
}

// fill makes objects of many kinds in a namespace of its own.
func (r *round) fill(t *testing.T, ns string) {
	t.Helper()
	ctx, opts := context.Background(), metav1.CreateOptions{}
	meta := metav1.ObjectMeta{Name: "one", Namespace: ns, Labels: map[string]string{"app": ns}, Annotations: map[string]string{"text": "ü€\n"}}
	must[*corev1.Namespace](t)(r.Client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}, opts))
	if _, err := shirts(r.Cluster, "default").List(ctx, metav1.ListOptions{Limit: 1}); apierrors.IsNotFound(err) {
		stepCRD(t, r.Cluster)
	}
	for i := range 40 {
		name := fmt.Sprintf("shirt-%02d", i)
		must[*unstructured.Unstructured](t)(shirts(r.Cluster, ns).Create(ctx, newShirt(name, colors[i%4], sizes[i%3], nil), opts))
		must[*corev1.ConfigMap](t)(r.Client.CoreV1().ConfigMaps(ns).Create(ctx, configMap(name, nil), opts))
	}
	must[*corev1.Secret](t)(r.Client.CoreV1().Secrets(ns).Create(ctx, &corev1.Secret{ObjectMeta: meta, Data: map[string][]byte{"k": []byte("geheim\x00\xff")}}, opts))
	must[*corev1.Secret](t)(r.Client.CoreV1().Secrets("kube-system").Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: ns}, StringData: map[string]string{"k": ns}}, opts))
	must[*corev1.Service](t)(r.Client.CoreV1().Services(ns).Create(ctx, &corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, Ports: []corev1.ServicePort{{Port: 80}}}}, opts))
	must[*rbacv1.ClusterRole](t)(r.Client.RbacV1().ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: ns}, Rules: []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"pods"}}}}, opts))
	must[*appsv1.Deployment](t)(r.Client.AppsV1().Deployments(ns).Create(ctx, deployment(meta, 2), opts))
	must[*corev1.Event](t)(r.Client.CoreV1().Events(ns).Create(ctx, &corev1.Event{ObjectMeta: metav1.ObjectMeta{Name: "one", Namespace: ns},
		InvolvedObject: corev1.ObjectReference{Kind: "Namespace", Name: ns, Namespace: ns}, Reason: "Filled", Type: "Normal"}, opts))
}

func deployment(meta metav1.ObjectMeta, replicas int32) *appsv1.Deployment {
	return &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{Replicas: &replicas,
		Selector: &metav1.LabelSelector{MatchLabels: meta.Labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: meta.Labels},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "none"}}}}}}
}

// all lists every resource that can be listed.
func (r *round) all(t *testing.T) objects {
	t.Helper()
	found := objects{}
	lists := must[[]*metav1.APIResourceList](t)(r.Client.Discovery().ServerPreferredResources())
	for _, list := range discovery.FilteredBy(discovery.SupportsAllVerbs{Verbs: []string{"list", "create"}}, lists) {
		for _, resource := range list.APIResources {
			gv := must[schema.GroupVersion](t)(schema.ParseGroupVersion(list.GroupVersion))
			answer := must[*unstructured.UnstructuredList](t)(r.Dynamic.Resource(gv.WithResource(resource.Name)).List(context.Background(), metav1.ListOptions{}))
			for _, u := range answer.Items {
				found.add(t, resource.Name, u)
			}
		}
	}
	return found
}

func (o objects) add(t *testing.T, resource string, u unstructured.Unstructured) {
	// What an API server writes when it starts and when it stops: the lease that tells that
	// it lives, and its own address.
	lives := resource == "leases" && strings.HasPrefix(u.GetName(), "apiserver-")
	address := strings.HasPrefix(resource, "endpoint") && u.GetNamespace() == "default" && u.GetName() == "kubernetes"
	if lives || address {
		return
	}
	u.SetResourceVersion("")
	text := must[[]byte](t)(json.Marshal(u.Object))
	o[resource+"/"+u.GetNamespace()+"/"+u.GetName()] = string(text)
}

// expect compares with what was served before.
func (o objects) expect(t *testing.T, before objects, kinds ...string) {
	t.Helper()
	var names []string
	for name := range before {
		names = append(names, name)
	}
	for name := range o {
		if _, known := before[name]; !known {
			t.Errorf("%s was not there before: %s", name, o[name])
		}
	}
	sort.Strings(names)
	for _, name := range names {
		if o[name] != before[name] {
			t.Errorf("%s was\n%s\nand is\n%s", name, before[name], o[name])
		}
	}
	// Nothing compared would be nothing wrong.
	for _, kind := range kinds {
		found := false
		for name := range o {
			found = found || strings.HasPrefix(name, kind+"/")
		}
		if !found {
			t.Errorf("there are no %s to compare", kind)
		}
	}
	t.Logf("%d objects are the same", len(names))
}

var allKinds = []string{"namespaces", "shirts", "configmaps", "secrets", "services", "clusterroles", "deployments", "customresourcedefinitions", "prioritylevelconfigurations", "apiservices"}

// upgrade: the etcd becomes the default database as it stands there. What has a lease
// there must go before: docs/deploy.md.
func (r *round) upgrade(t *testing.T) {
	before := r.all(t)
	r.stop(t)
	for name := range before {
		if strings.HasPrefix(name, "events/") {
			delete(before, name)
		}
	}
	if err := r.first.revokeLeases(); err != nil {
		t.Fatal(err)
	}
	r.start(t, r.patched)
	r.all(t).expect(t, before, allKinds...)
}

func (r *round) moveAway(t *testing.T) {
	r.fill(t, "patched")
	before := r.all(t)
	r.stop(t)
	r.patched.writeTopology(r.whole)
	t.Logf("%s", must[[]byte](t)(r.patched.run("migrate", r.patched.file())))
	r.start(t, r.patched)
	r.all(t).expect(t, before, append(allKinds, "events")...)
}

func (r *round) goBack(t *testing.T) {
	r.fill(t, "moved")
	before := r.all(t)
	list := must[*corev1.ConfigMapList](t)(r.Client.CoreV1().ConfigMaps("moved").List(context.Background(), metav1.ListOptions{}))
	_, err := r.patched.run("export", "--topology="+r.patched.file(), "--stock-etcd="+r.second.url)
	if err == nil || !strings.Contains(err.Error(), "an API server of this topology runs") {
		t.Fatalf("an export beside a server that runs: %v", err)
	}
	r.stop(t)
	r.bump(t)
	t.Logf("%s", must[[]byte](t)(r.patched.run("export", "--topology="+r.patched.file(), "--stock-etcd="+r.second.url)))
	r.start(t, r.second)
	r.all(t).expect(t, before, append(allKinds, "events")...)
	// Clients that lived through it must be told to list, not be left in silence.
	watch, err := r.Client.CoreV1().ConfigMaps("moved").Watch(context.Background(), metav1.ListOptions{ResourceVersion: list.ResourceVersion})
	if err == nil {
		defer watch.Stop()
		select {
		case event := <-watch.ResultChan():
			err = apierrors.FromObject(event.Object)
		case <-time.After(20 * time.Second):
			t.Fatalf("a watch from resource version %s, of before, is silent", list.ResourceVersion)
		}
	}
	if !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
		t.Fatalf("a watch from resource version %s, of before: %v", list.ResourceVersion, err)
	}
}

var bumpBy = regexp.MustCompile(`etcdutl snapshot restore .*--bump-revision ([0-9]+) --mark-compacted`)

// bump makes the empty etcd begin above our history, by the command that export prints: since
// the upgrade it counts from 10^14, which no etcd is raised to by writing.
func (r *round) bump(t *testing.T) {
	t.Helper()
	_, err := r.patched.run("export", "--topology="+r.patched.file(), "--stock-etcd="+r.second.url)
	found := bumpBy.FindStringSubmatch(fmt.Sprint(err))
	if found == nil {
		t.Fatalf("an export to an etcd that is far behind: %v", err)
	}
	if err := r.second.Stop(); err != nil {
		t.Fatal(err)
	}
	third := filepath.Join(r.Dir, "third")
	if err := os.MkdirAll(third, 0o755); err != nil {
		t.Fatal(err)
	}
	args := []string{"snapshot", "restore", filepath.Join(r.second.dir, "member/snap/db"), "--skip-hash-check",
		"--bump-revision", found[1], "--mark-compacted", "--data-dir", filepath.Join(third, "etcd")}
	if output, err := exec.Command(filepath.Join(filepath.Dir(r.second.binary), "etcdutl"), args...).CombinedOutput(); err != nil {
		t.Fatalf("etcdutl %v: %v\n%s", args, err, output)
	}
	if err := r.second.Start(third); err != nil {
		t.Fatal(err)
	}
}

// goesOn: controllers work on it, and what expires has a lease again.
func (r *round) goesOn(t *testing.T) {
	ctx := context.Background()
	leased := must[map[string]bool](t)(r.second.leased())
	for _, key := range []string{"/registry/events/patched/one", "/registry/events/moved/one"} {
		if !leased[key] {
			t.Errorf("%s has no lease: it would stay for ever", key)
		}
	}
	for key := range leased {
		if !strings.HasPrefix(key, "/registry/events/") && !strings.HasPrefix(key, "/registry/masterleases/") {
			t.Errorf("%s has a lease: it would go", key)
		}
	}
	controllers := must[*Process](t)(r.StartControllerManager("kube-controller-manager"))
	defer controllers.Kill()
	for _, ns := range []string{"stock", "patched", "moved"} {
		eventually(t, 2*time.Minute, "pods of the deployment in "+ns, func(ctx context.Context) string {
			pods, err := r.Client.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{LabelSelector: "app=" + ns})
			if err != nil {
				return err.Error()
			}
			return expectf(len(pods.Items) == 2, "%d pods", len(pods.Items))
		})
	}
	r.fill(t, "again")
	scale := must[*appsv1.Deployment](t)(r.Client.AppsV1().Deployments("moved").Get(ctx, "one", metav1.GetOptions{}))
	one := int32(1)
	scale.Spec.Replicas = &one
	must[*appsv1.Deployment](t)(r.Client.AppsV1().Deployments("moved").Update(ctx, scale, metav1.UpdateOptions{}))
	secret := must[*corev1.Secret](t)(r.Client.CoreV1().Secrets("patched").Get(ctx, "one", metav1.GetOptions{}))
	if string(secret.Data["k"]) != "geheim\x00\xff" {
		t.Errorf("a secret is %q", secret.Data["k"])
	}
}
