package main

import (
	"fmt"
	"slices"
	"time"
)

// value of a sample in the unit of a row.
type value func(Sample) float64

func rate(s Sample) float64                { return s.Rate }
func p50(s Sample) float64                 { return milliseconds(s.P50) }
func p99(s Sample) float64                 { return milliseconds(s.P99) }
func mib(s Sample) float64                 { return float64(s.Peak) / (1 << 20) }
func serverCPU(s Sample) float64           { return float64(s.Server.CPU.Microseconds()) / float64(s.Ops) }
func serverMiB(s Sample) float64           { return float64(s.Server.Peak) / (1 << 20) }
func clientCPU(s Sample) float64           { return cpu(s) - serverCPU(s) }
func clientMiB(s Sample) float64           { return mib(s) - serverMiB(s) }
func cpu(s Sample) float64                 { return float64(s.CPU.Microseconds()) / float64(s.Ops) }
func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// target of a row, from the medians of both sides.
type target func(ours, peer float64, all samples) (string, bool)

func atLeast(times float64) target {
	return func(ours, peer float64, _ samples) (string, bool) {
		return fmt.Sprintf(">= %gx", times), ours >= times*peer
	}
}

func atMost(times float64) target {
	return func(ours, peer float64, _ samples) (string, bool) {
		return fmt.Sprintf("<= %gx", times), ours <= times*peer
	}
}

func below(limit float64, unit string) target {
	return func(ours, _ float64, _ samples) (string, bool) {
		return fmt.Sprintf("<= %g %s", limit, unit), ours <= limit
	}
}

// aboveSync: at most this much more than an append with fdatasync in the same run.
func aboveSync(more float64) target {
	return func(ours, _ float64, all samples) (string, bool) {
		sync := median(all["append"]["ours"], p50)
		return fmt.Sprintf("<= %.3f (append + fdatasync) + %g ms", sync, more), sync > 0 && ours <= sync+more
	}
}

// within: at most this much more than the peer.
func within(more float64) target {
	return func(ours, peer float64, _ samples) (string, bool) {
		return fmt.Sprintf("<= %s + %g ms", short(peer), more), ours <= peer+more
	}
}

// info rows promise nothing.
func info(float64, float64, samples) (string, bool) { return "", true }

// spec is one row of the table, and with whom it compares us.
type spec struct {
	line
	peer     string // the side
	peerName string
}

// beside gives lines their peer.
func beside(peer, name string, lines ...line) []spec {
	specs := make([]spec, len(lines))
	for i, l := range lines {
		specs[i] = spec{l, peer, name}
	}
	return specs
}

const stockEtcd = "etcd3 storage, etcd"

var table = slices.Concat(beside("etcd", stockEtcd, sqliteLines...), serverTable())

// line is what a row measures.
type line struct {
	scenario string
	name     string
	callers  int
	unit     string
	value    value
	target   target
}

var sqliteLines = []line{
	{"append", "append 4 KiB + fdatasync", 1, "ms p50", p50, info},
	{"create-64", "create", 64, "/s", rate, atLeast(4)},
	{"create-1", "create", 1, "ms p50", p50, aboveSync(.15)},
	{"get-1", "get", 1, "ms p50", p50, below(.04, "ms")},
	{"get-64", "get", 64, "/s", rate, atLeast(6)},
	{"update-cached-64", "guaranteed update, cached object", 64, "/s", rate, atLeast(2.5)},
	{"update-hot-16", "guaranteed update, one hot key", 16, "/s", rate, atLeast(5)},
	{"delete-64", "delete", 64, "/s", rate, atLeast(4)},
	{"count-50k", "count of 50,000", 1, "ms p50", p50, below(.1, "ms")},
	{"list-10k", "list 10,000 whole", 1, "ms p50", p50, atMost(.6)},
	{"list-10k", "list 10,000 whole: CPU", 1, "us a call", cpu, atMost(1)},
	{"list-50k-pages", "list 50,000 in pages of 500", 1, "ms p50", p50, atMost(.4)},
	{"list-50k-pages", "list 50,000 in pages of 500: CPU", 1, "us a call", cpu, atMost(1)},
	{"watch-50", "50 watchers at 1,000 writes/s: reached", 64, "/s", rate, holds(watchedRate)},
	{"watch-50", "50 watchers at 1,000 writes/s: delivery", 64, "ms p99", p99, below(50, "ms")},
	{"memory-50k", "memory for 50,000 objects", 16, "MiB peak", mib, atMost(.25)},
	{"kube-create", "kube-apiserver, create custom resource 1.7 KB", 64, "/s", rate, atLeast(1.25)},
	{"kube-create", "kube-apiserver, create: CPU", 64, "us a call", cpu, atMost(.8)},
	{"kube-watch", "kube-apiserver, 50 watchers at 200 writes/s: accepted", 16, "/s", rate, holds(kubeWatchRate)},
	{"kube-watch", "kube-apiserver, 50 watchers at 200 writes/s", 16, "ms p50", p50, below(50, "ms")},
	{"kube-watch", "kube-apiserver, 50 watchers at 200 writes/s", 16, "ms p99", p99, atMost(1)},

	{"create-1", "create", 1, "/s", rate, info},
	{"create-16", "create", 16, "/s", rate, info},
	{"create-64", "create", 64, "ms p99", p99, info},
	{"get-16", "get", 16, "/s", rate, info},
	{"update-1", "guaranteed update, read first", 1, "/s", rate, info},
	{"update-16", "guaranteed update, read first", 16, "/s", rate, info},
	{"update-64", "guaranteed update, read first", 64, "/s", rate, info},
	{"delete-1", "delete", 1, "/s", rate, info},
	{"delete-16", "delete", 16, "/s", rate, info},
	{"watch-50", "50 watchers at 1,000 writes/s: delivery", 64, "ms p50", p50, info},
}

// holds: the rate that was asked for, but for what the pacing itself loses.
func holds(asked float64) target {
	return func(ours, _ float64, _ samples) (string, bool) {
		return fmt.Sprintf(">= %g/s held", asked), ours >= .99*asked
	}
}

// median of what the runs gave.
func median(runs []Sample, of value) float64 {
	if len(runs) == 0 {
		return 0
	}
	values := make([]float64, len(runs))
	for i, s := range runs {
		values[i] = of(s)
	}
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 0 {
		return (values[middle-1] + values[middle]) / 2
	}
	return values[middle]
}
