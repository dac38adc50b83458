package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
)

const (
	watchers      = 50
	watchedRate   = 1000 // writes a second asked for
	watchedWrites = 10 * watchedRate
)

// delivery records when each watcher got each write, and when it was acknowledged.
type delivery struct {
	begin time.Time
	acked []int64   // by write, nanoseconds since begin
	got   [][]int64 // by watcher and write

	running  sync.WaitGroup
	resumed  atomic.Int64 // watches that the server ended
	failures chan error
}

func newDelivery(writes int) *delivery {
	return &delivery{begin: time.Now(), acked: make([]int64, writes), failures: make(chan error, watchers)}
}

// watch runs receive, which fills in when each write came.
func (d *delivery) watch(receive func(got []int64) error) {
	got := make([]int64, len(d.acked))
	d.got = append(d.got, got)
	d.running.Add(1)
	go func() {
		defer d.running.Done()
		if err := receive(got); err != nil {
			d.failures <- err
		}
	}()
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
	n := scaled(watchedWrites)
	d := newDelivery(n)
	for range watchers {
		w, err := c.store.Watch(ctx, "/pods", optionsFrom(rv))
		if err != nil {
			return err
		}
		d.watch(func(got []int64) error { return c.follow(ctx, w, rv, "watched", d, got) })
	}
	return c.accountDelivery("watch-50", d, 64, watchedRate, c.creates("watched", n))
}

// accountDelivery reports the rate that the writes reached, and how long after
// their acknowledgement the watchers had them. A rate of 0 is as fast as it goes; the
// time is then that from the last acknowledgement to the last event.
func (c *child) accountDelivery(scenario string, d *delivery, callers, rate int, create func(i int) error) error {
	n := len(d.acked)
	return c.account(scenario, n, func(sample *Sample) ([]time.Duration, error) {
		start := time.Now()
		if _, err := loop(callers, n, func(i int) error {
			if rate > 0 {
				pace(start, i, rate)
			}
			err := create(i)
			d.acked[i] = int64(time.Since(d.begin))
			return err
		}); err != nil {
			return nil, err
		}
		sample.Rate = float64(n) / time.Since(start).Seconds()
		if err := d.wait(sample); err != nil {
			return nil, err
		}
		if rate == 0 {
			return []time.Duration{d.lag()}, nil
		}
		return d.latencies(), nil
	})
}

// pace returns when the i-th call of so many a second is due.
func pace(start time.Time, i, rate int) {
	time.Sleep(time.Until(start.Add(time.Duration(i) * time.Second / time.Duration(rate))))
}

// wait until every watcher has everything.
func (d *delivery) wait(sample *Sample) error {
	d.running.Wait()
	sample.Resumed = d.resumed.Load()
	select {
	case err := <-d.failures:
		return err
	default:
		return nil
	}
}

// follow takes every write of the set once, in whatever order they commit. A watch that the
// store ends is resumed where it was.
func (c *child) follow(ctx context.Context, w watch.Interface, last, set string, d *delivery, got []int64) error {
	for n := 0; n < len(got); {
		event, ok := <-w.ResultChan()
		if !ok || event.Type == watch.Error {
			w.Stop()
			d.resumed.Add(1)
			var err error
			if w, err = c.store.Watch(ctx, "/pods", optionsFrom(last)); err != nil {
				return fmt.Errorf("a watch ended after %d of %d events: %v: %w", n, len(got), event.Object, err)
			}
			continue
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
		i, err := strconv.Atoi(strings.TrimPrefix(pod.Name, set+"-"))
		if err != nil || got[i] != 0 {
			return fmt.Errorf("event %d is %s of %s: %v", n, event.Type, pod.Name, err)
		}
		got[i], last = now, pod.ResourceVersion
		n++
	}
	w.Stop()
	return nil
}

func (d *delivery) latencies() []time.Duration {
	var all []time.Duration
	for _, got := range d.got {
		for i, when := range got {
			all = append(all, time.Duration(when-d.acked[i]))
		}
	}
	slices.Sort(all)
	return all
}

// lag of the last event behind the last acknowledgement; an event may also come first.
func (d *delivery) lag() time.Duration {
	var last int64
	for _, got := range d.got {
		last = max(last, slices.Max(got))
	}
	return max(0, time.Duration(last-slices.Max(d.acked)))
}
