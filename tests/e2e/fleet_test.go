package e2e

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const fleetSize = 3

// fleet is several API servers on one topology of PostgreSQL, MariaDB and etcd, behind a
// balancer that the controllers use.
type fleet struct {
	*Cluster // through the balancer
	members  []*Cluster
}

// TestFleet: a server and the leading controller-manager are killed in the middle of work;
// the others go on, no watch of theirs misses anything, and all servers say the same.
func TestFleet(t *testing.T) {
	f := startFleet(t)
	if !t.Run("Nodes", func(t *testing.T) { stepNodes(t, f.Cluster) }) {
		t.Fatal("nothing works without nodes")
	}
	if !t.Run("CRD", func(t *testing.T) { stepCRD(t, f.Cluster) }) {
		t.Fatal("nothing works without the CRD")
	}
	victim, survivors := f.members[0], f.members[1:]
	var recorders []*Recorder
	for _, member := range survivors {
		eventually(t, 60*time.Second, "shirts on "+member.name, func(ctx context.Context) string {
			_, err := shirts(member, "default").List(ctx, metav1.ListOptions{Limit: 1})
			return said(err)
		})
		recorders = append(recorders, startRecorder(t, member))
	}
	t.Run("Life", func(t *testing.T) {
		for i, s := range life { // each through another server
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				timed(t, f.members[i%fleetSize], s)
			})
		}
	})
	t.Run("LosesAServerAndTheLeader", func(t *testing.T) { f.losesTwo(t, victim, survivors) })
	for i, member := range survivors {
		t.Run("WatchesMissedNothing/"+member.name, recorders[i].check)
	}
	t.Run("AllSayTheSame", f.allSayTheSame)
}

func startFleet(t *testing.T) *fleet {
	t.Helper()
	c := newCluster(t, Variant{Name: "fleet", WatchCache: true}, storageOf(t, "shared"))
	f := &fleet{Cluster: c}
	var addresses []string
	for i := range fleetSize {
		member := must[*Cluster](t)(c.Sibling(fmt.Sprintf("kube-apiserver-%d", i)))
		t.Cleanup(func() { member.api.Kill() })
		f.members, addresses = append(f.members, member), append(addresses, fmt.Sprintf("127.0.0.1:%d", member.port))
	}
	began := time.Now()
	failed := make([]error, fleetSize)
	var starting sync.WaitGroup
	for i, member := range f.members { // at once: one creates what the others join
		starting.Add(1)
		go func() {
			defer starting.Done()
			failed[i] = member.startAPIServer([]string{fmt.Sprintf("--advertise-address=192.0.2.%d", 1+i)}, nil)
		}()
	}
	starting.Wait()
	if err := errors.Join(failed...); err != nil {
		t.Fatal(err)
	}
	t.Logf("ready after %.1f s; logs in %s", time.Since(began).Seconds(), c.Dir)
	balancer := must[*balancer](t)(newBalancer(c.port, addresses))
	t.Cleanup(balancer.Close)
	if err := c.StartControllers(); err != nil {
		t.Fatal(err)
	}
	f.leader(t, "") // the first one leads before there is another
	spare := must[*Process](t)(c.StartControllerManager("kube-controller-manager-spare"))
	t.Cleanup(spare.Kill)
	return f
}

// leader of the controller-managers, when it is not `before`.
func (f *fleet) leader(t *testing.T, before string) (name string) {
	t.Helper()
	eventually(t, 90*time.Second, "a leader that is not "+before, func(ctx context.Context) string {
		lease, err := f.Client.CoordinationV1().Leases("kube-system").Get(ctx, "kube-controller-manager", metav1.GetOptions{})
		if err != nil {
			return said(err)
		}
		if lease.Spec.HolderIdentity != nil {
			name = *lease.Spec.HolderIdentity
		}
		return expectf(name != "" && name != before, "it is %q", name)
	})
	return name
}

func (f *fleet) losesTwo(t *testing.T, victim *Cluster, survivors []*Cluster) {
	ctx := context.Background()
	ns := namespace(t, survivors[0], "losses")
	scale := func(c *Cluster, n int) {
		t.Helper()
		_, err := c.Client.AppsV1().Deployments(ns).Patch(ctx, "web", types.StrategicMergePatchType,
			[]byte(fmt.Sprintf(`{"spec":{"replicas":%d}}`, n)), metav1.PatchOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := victim.Client.AppsV1().Deployments(ns).Create(ctx, newDeployment("web", 5), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	deploymentIs(t, survivors[0], ns, "web", "image:1", 5)
	before := f.leader(t, "")
	scale(victim, 20)
	began := time.Now()
	victim.api.Kill()
	f.controller.Kill()
	deploymentIs(t, survivors[1], ns, "web", "image:1", 20)
	took := time.Since(began)
	if after := f.leader(t, before); after == before {
		t.Errorf("the leader is still %s", after)
	}
	t.Logf("20 pods run %.1f s after the end of a server and of the leader", took.Seconds())
	scale(survivors[1], 3)
	if err := victim.StartAPIServer(); err != nil {
		t.Fatal(err)
	}
	deploymentIs(t, victim, ns, "web", "image:1", 3)
}

// allSayTheSame: at one resource version each server has the same objects.
func (f *fleet) allSayTheSame(t *testing.T) {
	ctx := context.Background()
	for i, resource := range recorded {
		asked := f.members[i%fleetSize]
		list, err := asked.Dynamic.Resource(resource).List(ctx, metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		want := versions(list)
		if len(want) == 0 {
			t.Errorf("there are no %s", resource.Resource)
		}
		for _, member := range f.members {
			same, err := member.Dynamic.Resource(resource).List(ctx, metav1.ListOptions{
				ResourceVersion: list.GetResourceVersion(), ResourceVersionMatch: metav1.ResourceVersionMatchExact})
			if err != nil {
				t.Errorf("%s of %s at %s: %v", resource.Resource, member.name, list.GetResourceVersion(), err)
				continue
			}
			if reason := (&stream{state: versions(same)}).differs(want); reason != "" {
				t.Errorf("%s at %s by %s and %s: %s", resource.Resource, list.GetResourceVersion(), asked.name, member.name, reason)
			}
		}
	}
}
