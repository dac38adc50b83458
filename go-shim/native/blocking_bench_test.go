//go:build cgo && stgbench

package native

import (
	"strings"
	"testing"
)

func BenchmarkGetBlocking(b *testing.B) {
	s, _ := benchStore(b)
	defer s.blockingForBench()()
	forCallers(b, func(b *testing.B, callers int) {
		measure(b, callers, func(_, i int) {
			if err := s.getBlockingForBench(podKey(i % 2000)); err != nil {
				b.Error(err)
			}
		})
	})
}

func BenchmarkPutBlocking(b *testing.B) {
	s, _ := benchStore(b)
	defer s.blockingForBench()()
	value := []byte(strings.Repeat("w", benchValue))
	forCallers(b, func(b *testing.B, callers int) {
		measure(b, callers, func(c, _ int) {
			if err := s.putBlockingForBench(podKey(c), value); err != nil {
				b.Error(err)
			}
		})
	})
}
