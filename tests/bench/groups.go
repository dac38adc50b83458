package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/storage"
)

// opener starts what a side needs, with its data in an empty directory.
type opener func(dir string) (*side, error)

// part is a side of a group.
type part struct {
	side string
	open opener
}

// group of scenarios that share a child and its data. The numbers of calls are the
// same on all sides.
type group struct {
	name      string
	prefix    string // of its scenarios, in samples and for BENCH_ONLY
	sides     []part
	scenarios []string
	run       func(*child) error
}

var (
	callScenarios = []string{"append", "create-1", "create-16", "create-64", "get-1", "get-16", "get-64", "update-1", "update-16",
		"update-64", "update-cached-64", "update-hot-16", "delete-1", "delete-16", "delete-64"}
	listScenarios = []string{"list-10k", "count-50k", "list-50k-pages"}

	stores = []part{{"ours", openOurs}, {"etcd", openEtcd}}
	// groups in the order of a run.
	groups = slices.Concat([]group{
		{"calls", "", stores, callScenarios, (*child).runCalls},
		{"lists", "", stores, listScenarios, (*child).runLists},
		{"memory", "", stores, []string{"memory-50k"}, (*child).runMemory},
		{"watch", "", stores, []string{"watch-50"}, (*child).runWatch},
		{"kube-create", "", []part{
			{"ours", func(dir string) (*side, error) { return openKubePatched(dir) }}, {"etcd", openKubeStock},
		}, []string{"kube-create"}, (*child).runKubeCreate},
		// Ours without the watch cache, so that its watches are the clients' own.
		{"kube-watch", "", []part{
			{"ours", func(dir string) (*side, error) { return openKubePatched(dir, "--watch-cache=false") }}, {"etcd", openKubeStock},
		}, []string{"kube-watch"}, (*child).runKubeWatch},
	}, serverGroups())
)

func findGroup(name string) (group, error) {
	for _, g := range groups {
		if g.name == name {
			return g, nil
		}
	}
	return group{}, fmt.Errorf("unknown group %q", name)
}

func (g group) opener(side string) (opener, error) {
	for _, p := range g.sides {
		if p.side == side {
			return p.open, nil
		}
	}
	return nil, fmt.Errorf("the group %s has no side %q", g.name, side)
}

// wanted tells whether a scenario of the group is to be measured.
func (g group) wanted(only func(string) bool) bool {
	return slices.ContainsFunc(g.scenarios, func(s string) bool { return only(g.prefix + s) })
}

// needs tells whether the group is one of those with the prefix, or has a side of
// that name.
func (g group) needs(what string) bool {
	return strings.HasPrefix(g.name, what) || slices.ContainsFunc(g.sides, func(p part) bool { return p.side == what })
}

// order of the sides in a run: each is first in turn.
func (g group) order(turn int) []part {
	first := turn % len(g.sides)
	return slices.Concat(g.sides[first:], g.sides[:first])
}

const many = 20000

func (c *child) runCalls() error {
	// The yardstick before and after what is held against it.
	if err := c.appendAndSync(scaled(1000)); err != nil {
		return err
	}
	if c.wants("create-1") {
		n := scaled(2000)
		if err := c.measure("create-1", 1, n, c.creates("one", n)); err != nil {
			return err
		}
	}
	if err := c.appendAndSync(scaled(1000)); err != nil {
		return err
	}
	if c.wants("create-16") {
		n := scaled(8000)
		if err := c.measure("create-16", 16, n, c.creates("sixteen", n)); err != nil {
			return err
		}
	}
	if err := c.createMany(); err != nil {
		return err
	}
	if err := c.runUpdates(); err != nil {
		return err
	}
	return c.runDeletes()
}

// createMany leaves the set that the other calls use.
func (c *child) createMany() error {
	n := scaled(many)
	if c.wants("create-64") {
		if err := c.measure("create-64", 64, n, c.creates("many", n)); err != nil {
			return err
		}
	} else if err := c.fill("many", 0, n); err != nil {
		return err
	}
	for _, callers := range []int{1, 16, 64} {
		if err := c.measure(fmt.Sprintf("get-%d", callers), callers, scaled(4000+500*callers), c.get("many", n)); err != nil {
			return err
		}
	}
	return nil
}

func (c *child) runUpdates() error {
	all := scaled(many)
	for _, callers := range []int{1, 16, 64} {
		n := scaled(500 + 100*callers)
		if err := c.measure(fmt.Sprintf("update-%d", callers), callers, n, c.update("many", all)); err != nil {
			return err
		}
	}
	if c.wants("update-cached-64") {
		call, err := c.updateCached("many", all)
		if err != nil {
			return err
		}
		if err := c.measure("update-cached-64", 64, all, call); err != nil {
			return err
		}
	}
	return c.measure("update-hot-16", 16, scaled(1500), c.update("many", 1))
}

func (c *child) runDeletes() error {
	begin := 0
	for _, callers := range []int{1, 16, 64} {
		n := scaled(500 + 150*callers)
		first := begin
		remove := c.remove("many")
		if err := c.measure(fmt.Sprintf("delete-%d", callers), callers, n, func(i int) error { return remove(first + i) }); err != nil {
			return err
		}
		begin += n
	}
	return nil
}

func (c *child) runLists() error {
	some, all := scaled(10000), scaled(50000)
	if c.wants("list-10k") {
		if err := c.fill("list", 0, some); err != nil {
			return err
		}
		if err := c.measure("list-10k", 1, 7, c.list(0, some)); err != nil {
			return err
		}
	}
	if !c.wantsAny("count-50k", "list-50k-pages") {
		return nil
	}
	begin := 0
	if c.wants("list-10k") {
		begin = some
	}
	if err := c.fill("list", begin, all); err != nil {
		return err
	}
	if err := c.measure("count-50k", 1, 50, c.count(int64(all))); err != nil {
		return err
	}
	return c.measure("list-50k-pages", 1, 3, c.list(500, all))
}

// runMemory: 50,000 objects come in, are paged through and read here and there.
func (c *child) runMemory() error {
	objects := scaled(50000)
	return c.account("memory-50k", objects, func(*Sample) ([]time.Duration, error) {
		if _, err := loop(16, objects, func(i int) error {
			return c.store.Create(background, podKey("memory", i), newPod("memory", i), &corev1.Pod{}, 0)
		}); err != nil {
			return nil, err
		}
		if err := c.list(500, objects)(0); err != nil {
			return nil, err
		}
		return loop(16, scaled(10000), func(i int) error {
			return c.store.Get(background, podKey("memory", i*5), storage.GetOptions{}, &corev1.Pod{})
		})
	})
}
