package main

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/storage"
)

// group of scenarios that share a child and its data. The numbers of calls are the
// same on both sides.
type group struct {
	open map[string]func(dir string) (*side, error)
	run  func(*child) error
}

var (
	stores = map[string]func(dir string) (*side, error){"ours": openOurs, "etcd": openEtcd}
	groups = map[string]group{
		"calls":  {stores, (*child).runCalls},
		"lists":  {stores, (*child).runLists},
		"memory": {stores, (*child).runMemory},
		"watch":  {stores, (*child).runWatch},
		"kube-create": {map[string]func(string) (*side, error){
			"ours": func(dir string) (*side, error) { return openKubePatched(dir) }, "etcd": openKubeStock,
		}, (*child).runKubeCreate},
		// Ours without the watch cache, so that its watches are the clients' own.
		"kube-watch": {map[string]func(string) (*side, error){
			"ours": func(dir string) (*side, error) { return openKubePatched(dir, "--watch-cache=false") }, "etcd": openKubeStock,
		}, (*child).runKubeWatch},
	}
)

const many = 20000

func (c *child) runCalls() error {
	// The yardstick before and after what is held against it.
	if err := c.appendAndSync(1000); err != nil {
		return err
	}
	if c.wants("create-1") {
		if err := c.measure("create-1", 1, 2000, c.creates("one", 2000)); err != nil {
			return err
		}
	}
	if err := c.appendAndSync(1000); err != nil {
		return err
	}
	if c.wants("create-16") {
		if err := c.measure("create-16", 16, 8000, c.creates("sixteen", 8000)); err != nil {
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
	if c.wants("create-64") {
		if err := c.measure("create-64", 64, many, c.creates("many", many)); err != nil {
			return err
		}
	} else if err := c.fill("many", 0, many); err != nil {
		return err
	}
	for _, callers := range []int{1, 16, 64} {
		if err := c.measure(fmt.Sprintf("get-%d", callers), callers, 4000+500*callers, c.get("many", many)); err != nil {
			return err
		}
	}
	return nil
}

func (c *child) runUpdates() error {
	for _, callers := range []int{1, 16, 64} {
		n := 500 + 100*callers
		if err := c.measure(fmt.Sprintf("update-%d", callers), callers, n, c.update("many", many)); err != nil {
			return err
		}
	}
	if c.wants("update-cached-64") {
		call, err := c.updateCached("many", many)
		if err != nil {
			return err
		}
		if err := c.measure("update-cached-64", 64, many, call); err != nil {
			return err
		}
	}
	return c.measure("update-hot-16", 16, 1500, c.update("many", 1))
}

func (c *child) runDeletes() error {
	begin := 0
	for _, callers := range []int{1, 16, 64} {
		n := 500 + 150*callers
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
	if c.wants("list-10k") {
		if err := c.fill("list", 0, 10000); err != nil {
			return err
		}
		if err := c.measure("list-10k", 1, 7, c.list(0, 10000)); err != nil {
			return err
		}
	}
	if !c.wantsAny("count-50k", "list-50k-pages") {
		return nil
	}
	begin := 0
	if c.wants("list-10k") {
		begin = 10000
	}
	if err := c.fill("list", begin, 50000); err != nil {
		return err
	}
	if err := c.measure("count-50k", 1, 50, c.count(50000)); err != nil {
		return err
	}
	return c.measure("list-50k-pages", 1, 3, c.list(500, 50000))
}

// runMemory: 50,000 objects come in, are paged through and read here and there.
func (c *child) runMemory() error {
	const objects = 50000
	return c.account("memory-50k", objects, func(*Sample) ([]time.Duration, error) {
		if _, err := loop(16, objects, func(i int) error {
			return c.store.Create(background, podKey("memory", i), newPod("memory", i), &corev1.Pod{}, 0)
		}); err != nil {
			return nil, err
		}
		if err := c.list(500, objects)(0); err != nil {
			return nil, err
		}
		return loop(16, 10000, func(i int) error {
			return c.store.Get(background, podKey("memory", i*5), storage.GetOptions{}, &corev1.Pod{})
		})
	})
}
