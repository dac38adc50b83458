package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
)

const (
	watchers      = 50
	watchedWrites = 10000
	watchedRate   = 1000 // writes a second asked for
)

// delivery records when each watcher got each write, and when it was acknowledged.
type delivery struct {
	begin time.Time
	acked []int64   // by write, nanoseconds since begin
	got   [][]int64 // by watcher and write
}

// runWatch: watchers of the whole collection while pods are created at a given
// rate. Measured is the time from acknowledgement to delivery.
func (c *child) runWatch() error {
	ctx, cancel := context.WithCancel(background)
	defer cancel()
	rv, err := c.revision()
	if err != nil {
		return err
	}
	d := &delivery{begin: time.Now(), acked: make([]int64, watchedWrites)}
	var wg sync.WaitGroup
	failures := make(chan error, watchers)
	for range watchers {
		w, err := c.store.Watch(ctx, "/pods", optionsFrom(rv))
		if err != nil {
			return err
		}
		got := make([]int64, watchedWrites)
		d.got = append(d.got, got)
		wg.Add(1)
		go func() {
			defer wg.Done()
			defer w.Stop()
			if err := d.receive(w, got); err != nil {
				failures <- err
			}
		}()
	}
	return c.account("watch-50", watchedWrites, func(sample *Sample) ([]time.Duration, error) {
		// The rate that was reached, not writes over the whole time.
		if sample.Rate, err = c.paced(d); err != nil {
			return nil, err
		}
		wg.Wait()
		select {
		case err := <-failures:
			return nil, err
		default:
			return d.latencies(), nil
		}
	})
}

// paced creates pods at watchedRate, by 64 callers, and returns the rate reached.
func (c *child) paced(d *delivery) (float64, error) {
	create := c.creates("watched", watchedWrites)
	start := time.Now()
	_, err := loop(64, watchedWrites, func(i int) error {
		time.Sleep(time.Until(start.Add(time.Duration(i) * time.Second / watchedRate)))
		err := create(i)
		d.acked[i] = int64(time.Since(d.begin))
		return err
	})
	return watchedWrites / time.Since(start).Seconds(), err
}

// receive takes every write once, in whatever order they commit.
func (d *delivery) receive(w watch.Interface, got []int64) error {
	for n := 0; n < watchedWrites; n++ {
		event, ok := <-w.ResultChan()
		if !ok {
			return fmt.Errorf("a watch ended after %d of %d events", n, watchedWrites)
		}
		now := int64(time.Since(d.begin))
		obj := event.Object
		if shared, ok := obj.(runtime.CacheableObject); ok {
			obj = shared.GetObject()
		}
		pod, ok := obj.(*corev1.Pod)
		if !ok {
			return fmt.Errorf("a watch got %s %T: %v", event.Type, obj, obj)
		}
		i, err := strconv.Atoi(strings.TrimPrefix(pod.Name, "watched-"))
		if err != nil || got[i] != 0 {
			return fmt.Errorf("event %d is %s of %s: %v", n, event.Type, pod.Name, err)
		}
		got[i] = now
	}
	return nil
}

func (d *delivery) latencies() []time.Duration {
	all := make([]time.Duration, 0, watchers*watchedWrites)
	for _, got := range d.got {
		for i, when := range got {
			all = append(all, time.Duration(when-d.acked[i]))
		}
	}
	slices.Sort(all)
	return all
}
