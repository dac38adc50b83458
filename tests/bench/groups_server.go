package main

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
)

var otherScenarios = []string{"other-watch", "other-watch-acked", "other-watch-5"}

// serverGroups measure the databases that are servers. Each side has one of its own,
// new, with the same settings and on the same disk: nothing that a side left behind
// (dirty pages, a vacuum) is paid by the next one.
func serverGroups() []group {
	var all []group
	for _, k := range []struct{ prefix, server string }{{"pg-", "postgresql"}, {"mysql-", "mariadb"}} {
		ours, kine := part{"ours", oursOn(k.server)}, part{"kine", kineOn(k.server)}
		all = append(all,
			group{k.prefix + "calls", k.prefix, []part{ours, kine, {"raw", rawOn(k.server)}},
				[]string{"create-1", "create-64", "get-1", "get-64"}, (*child).runServer},
			group{k.prefix + "burst", k.prefix, []part{ours, kine}, []string{"burst"}, (*child).runBurst},
			group{k.prefix + "lists", k.prefix, []part{ours, {"etcd", openEtcd}}, []string{"list-50k-pages"}, (*child).runLists},
			group{k.prefix + "other-watch", k.prefix, []part{ours, {"etcd", openEtcd}}, otherScenarios, (*child).runOtherWatch},
			group{k.prefix + "idle", k.prefix, []part{ours, kine}, []string{"idle"}, (*child).runIdle})
	}
	etcd := []part{{"ours", openOursOnEtcd}, {"etcd", openEtcd}}
	return append(all,
		group{"etcd-calls", "etcd-", etcd, callScenarios[1:], (*child).runCalls},
		group{"etcd-lists", "etcd-", etcd, listScenarios, (*child).runLists},
		group{"etcd-watch", "etcd-", etcd, []string{"watch-50"}, (*child).runWatch},
		group{"etcd-burst", "etcd-", etcd, []string{"burst"}, (*child).runBurst},
		group{"etcd-other-watch", "etcd-", etcd, otherScenarios, (*child).runOtherWatch},
		group{"etcd-idle", "etcd-", etcd, []string{"idle"}, (*child).runIdle},
		group{"spread", "spread-", []part{{"ours", openSpread(3)}, {"one", openSpread(1)}},
			[]string{"create-64"}, (*child).runSpread})
}

// runServer: what kine and raw statements are held against.
func (c *child) runServer() error {
	create, get := c.creates, c.get
	if c.raw != nil {
		create, get = c.raw.creates, c.raw.get
	}
	if c.wants("create-1") {
		n := scaled(1000)
		if err := c.measure("create-1", 1, n, create("one", n)); err != nil {
			return err
		}
	}
	n := scaled(many)
	// Every connection of a pool is there before the clock runs.
	if _, err := loop(64, 640, create("warm", 640)); err != nil {
		return err
	}
	if err := c.createOrFill(n, create); err != nil {
		return err
	}
	for _, callers := range []int{1, 64} {
		if err := c.measure(fmt.Sprintf("get-%d", callers), callers, scaled(4000+500*callers), get("many", n)); err != nil {
			return err
		}
	}
	return nil
}

func (c *child) createOrFill(n int, create func(set string, n int) func(i int) error) error {
	if c.wants("create-64") {
		return c.measure("create-64", 64, n, create("many", n))
	}
	_, err := loop(64, n, create("many", n))
	return err
}

// burstWait is how long a watcher may take for all events before the run gives up.
const burstWait = 3 * time.Minute

// runBurst: one watcher, and 10,000 writes as fast as 64 callers can. Measured is the
// time from the last acknowledgement to the last event.
func (c *child) runBurst() error {
	ctx, cancel := contextFor(burstWait)
	defer cancel()
	rv, err := c.revision()
	if err != nil {
		return err
	}
	n := scaled(10000)
	d := newDelivery(n)
	w, err := c.store.Watch(ctx, "/pods", optionsFrom(rv))
	if err != nil {
		return err
	}
	d.watch(func(got []int64) error { return c.follow(ctx, w, rv, "watched", d, got) })
	return c.accountDelivery("burst", d, 64, 0, c.creates("watched", n))
}

// runSpread: three kinds, written in turn.
func (c *child) runSpread() error {
	n := scaled(30000)
	pods := make([]*corev1.Pod, n)
	for i := range pods {
		pods[i] = newPod("spread", i)
	}
	create := func(i int) error {
		kind := i % len(spreadKinds)
		return c.kinds[kind].Create(background, "/"+spreadKinds[kind]+"/"+podNamespace(i)+"/"+podName("spread", i), pods[i], &corev1.Pod{}, 0)
	}
	return c.measure("create-64", 64, n, create)
}
