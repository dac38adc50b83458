//go:build cgo

package native

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/libstorage/go-shim/kv"
)

// The numbers of docs/adr/0003-c-abi.md:
//
//	go test ./native -run '^$' -bench . -benchtime 3s          queue and inline
//	go test -tags stgbench ...                                 and blocking in C
//
// STG_BENCH_ENDPOINT replaces the SQLite file in a temporary directory.

const benchValue = 1169 // bytes: a small Pod in protobuf

var benchCallers = []int{1, 32, 400}

func benchStore(b *testing.B) (*Store, kv.ResourceID) {
	opts := endpoints["sqlite"](b)
	if endpoint := os.Getenv("STG_BENCH_ENDPOINT"); endpoint != "" {
		opts = Options{DefaultEndpoint: endpoint, MetadataEndpoint: endpoint + ".meta", AllowMemory: true}
	}
	s, pods := openStore(b, opts)
	value := strings.Repeat("v", benchValue)
	var group sync.WaitGroup
	for c := range 50 {
		group.Add(1)
		go func() {
			defer group.Done()
			for i := range 40 {
				mustPut(b, s, pods, podKey(c*40+i), value, kv.AnyRevision)
			}
		}()
	}
	group.Wait()
	return s, pods
}

func cpuTime() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// measure shares b.N operations among callers and reports latency, CPU and threads.
func measure(b *testing.B, callers int, op func(caller, i int)) {
	samples := make([][]time.Duration, callers)
	var next atomic.Int64
	var group sync.WaitGroup
	cpu := cpuTime()
	b.ResetTimer()
	start := time.Now()
	for c := range callers {
		group.Add(1)
		go func() {
			defer group.Done()
			for {
				i := int(next.Add(1)) - 1
				if i >= b.N {
					return
				}
				begin := time.Now()
				op(c, i)
				samples[c] = append(samples[c], time.Since(begin))
			}
		}()
	}
	group.Wait()
	elapsed := time.Since(start)
	b.StopTimer()
	all := slices.Concat(samples...)
	slices.Sort(all)
	micros := func(d time.Duration) float64 { return float64(d) / 1e3 }
	b.ReportMetric(float64(b.N)/elapsed.Seconds(), "ops/s")
	b.ReportMetric(micros(all[len(all)/2]), "p50-us")
	b.ReportMetric(micros(all[len(all)*99/100]), "p99-us")
	b.ReportMetric(micros(cpuTime()-cpu)/float64(b.N), "cpu-us/op")
	b.ReportMetric(float64(osThreads(b)), "threads")
}

func forCallers(b *testing.B, body func(b *testing.B, callers int)) {
	for _, callers := range benchCallers {
		b.Run(fmt.Sprint(callers), func(b *testing.B) { body(b, callers) })
	}
}

func BenchmarkGetInline(b *testing.B) {
	benchGet(b, func(s *Store, pods kv.ResourceID, key string) (*kv.Result, error) {
		return s.Get(background, pods, key, kv.ReadOptions{})
	})
}

func BenchmarkGetQueue(b *testing.B) {
	benchGet(b, func(s *Store, pods kv.ResourceID, key string) (*kv.Result, error) {
		return s.getQueuedForTest(background, pods, key)
	})
}

func benchGet(b *testing.B, get func(s *Store, pods kv.ResourceID, key string) (*kv.Result, error)) {
	s, pods := benchStore(b)
	keys := make([]string, 2000)
	for i := range keys {
		keys[i] = podKey(i)
	}
	forCallers(b, func(b *testing.B, callers int) {
		b.ReportAllocs()
		measure(b, callers, func(_, i int) {
			r, err := get(s, pods, keys[i%len(keys)])
			if err != nil {
				b.Fatal(err)
			}
			r.Release()
		})
	})
}

func BenchmarkPut(b *testing.B) {
	s, pods := benchStore(b)
	value := []byte(strings.Repeat("w", benchValue))
	forCallers(b, func(b *testing.B, callers int) {
		b.ReportAllocs()
		before := commits(b, s)
		measure(b, callers, func(c, _ int) {
			if _, err := s.Put(background, pods, podKey(c), value, kv.PutOptions{Expected: kv.AnyRevision}); err != nil {
				b.Fatal(err)
			}
		})
		after := commits(b, s)
		if n := after.batches - before.batches; n > 0 {
			b.ReportMetric(float64(after.micros-before.micros)/float64(n), "commit-us")
		}
	})
}

type laneCommits struct{ batches, micros int64 }

// commits sums what the engine's statistics say of its lanes.
func commits(b *testing.B, s *Store) (sum laneCommits) {
	text, err := s.StatsJSON()
	if err != nil {
		b.Fatal(err)
	}
	var parsed any
	if err := json.Unmarshal(text, &parsed); err != nil {
		b.Fatal(err)
	}
	var walk func(any)
	walk = func(node any) {
		switch v := node.(type) {
		case map[string]any:
			if n, ok := v["commit_count"].(float64); ok {
				seconds, _ := v["commit_seconds_sum"].(float64)
				sum.batches += int64(n)
				sum.micros += int64(seconds * 1e6)
			}
			for _, child := range v {
				walk(child)
			}
		case []any:
			for _, child := range v {
				walk(child)
			}
		}
	}
	walk(parsed)
	return sum
}

func BenchmarkList500(b *testing.B) {
	s, pods := benchStore(b)
	b.ReportAllocs()
	measure(b, 1, func(_, _ int) {
		r, err := s.List(background, pods, "/registry/pods/", podsEnd, kv.ReadOptions{Limit: 500})
		if err != nil || len(r.KVs) != 500 {
			b.Fatal(err)
		}
		r.Release()
	})
}

func BenchmarkCurrentRevision(b *testing.B) {
	s, pods := benchStore(b)
	measure(b, 1, func(_, _ int) {
		if _, err := s.CurrentRevision(background, pods); err != nil {
			b.Fatal(err)
		}
	})
}
