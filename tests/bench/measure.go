package main

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Cost of processes.
type Cost struct {
	CPU  time.Duration
	Peak int64 // bytes
}

// Sample is what one child measured of one scenario.
type Sample struct {
	Scenario string
	Ops      int
	Wall     time.Duration
	Cost                   // of all processes of this side
	Server   Cost          // of those that are servers
	P50, P99 time.Duration // of one call, or of what the scenario says
	Rate     float64       // calls a second
	Resumed  int64         // watches that the server ended
}

func percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(p*float64(len(sorted))))]
}

// loop runs call(0..n-1) by so many callers and returns the sorted durations.
// The first error stops it.
func loop(callers, n int, call func(i int) error) ([]time.Duration, error) {
	durations := make([]time.Duration, n)
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	for range callers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for failed.Load() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				begin := time.Now()
				err := call(i)
				durations[i] = time.Since(begin)
				if err != nil {
					failed.CompareAndSwap(nil, &err)
				}
			}
		}()
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return nil, *err
	}
	slices.Sort(durations)
	return durations, nil
}

// measure runs a loop and accounts for what it cost.
func (c *child) measure(scenario string, callers, n int, call func(i int) error) error {
	if !c.wants(scenario) {
		return nil
	}
	return c.account(scenario, n, func(*Sample) ([]time.Duration, error) { return loop(callers, n, call) })
}

// account measures the processes of the side around run, which does n calls and
// returns their sorted durations. It may set the rate itself.
func (c *child) account(scenario string, n int, run func(*Sample) ([]time.Duration, error)) error {
	sample, err := c.sample(scenario, n, run)
	if err != nil {
		return err
	}
	return c.out.Encode(sample)
}

// sample is what account reports.
func (c *child) sample(scenario string, n int, run func(*Sample) ([]time.Duration, error)) (sample Sample, err error) {
	if err := c.resetPeak(); err != nil {
		return sample, err
	}
	before, serverBefore, err := c.usage()
	if err != nil {
		return sample, err
	}
	begin := time.Now()
	sample = Sample{Scenario: c.prefix + scenario, Ops: n}
	durations, err := run(&sample)
	if err != nil {
		return sample, fmt.Errorf("%s: %w", scenario, err)
	}
	sample.Wall = time.Since(begin)
	after, server, err := c.usage()
	if err != nil {
		return sample, err
	}
	sample.Server = Cost{server.CPU - serverBefore.CPU, server.Peak}
	sample.Cost = Cost{after.CPU - before.CPU + sample.Server.CPU, after.Peak + server.Peak}
	sample.P50, sample.P99 = percentile(durations, .5), percentile(durations, .99)
	if sample.Rate == 0 {
		sample.Rate = float64(n) / sample.Wall.Seconds()
	}
	return sample, nil
}
