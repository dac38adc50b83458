package main

import (
	"testing"
	"time"
)

// TestSince: times of another process and those of a watch here are held against each
// other, also when the event was here before the acknowledgement was there.
func TestSince(t *testing.T) {
	ms := func(n int64) int64 { return n * int64(time.Millisecond) }
	const begin = 1 << 40
	d := newDelivery(3)
	d.got = [][]int64{{ms(15), ms(21), ms(50)}}
	times := writeTimes{
		Begun: []int64{begin + ms(10), begin + ms(20), begin + ms(30)},
		Acked: []int64{begin + ms(13), begin + ms(24), begin + ms(35)},
	}
	check := func(what string, got []time.Duration, want ...int64) {
		t.Helper()
		for i, w := range want {
			if got[i] != time.Duration(ms(w)) {
				t.Errorf("%s: %v, want %d ms in the place of %d", what, got, w, i)
			}
		}
	}
	check("from the beginning", d.since(begin, times.Begun), 1, 5, 20)
	check("from the acknowledgement", d.since(begin, times.Acked), -3, 2, 15)
	if rate := times.rate(); rate != 100 {
		t.Errorf("2 writes in 20 ms are %g/s, want 100", rate)
	}
}

// TestSharedClock: delivery counts on Go's clock, the other process on the shared one.
func TestSharedClock(t *testing.T) {
	// Each reading of the shared clock is between two of Go's: however late this runs.
	before, first, behind := time.Now(), sharedClock(), time.Now()
	for time.Since(behind) < 20*time.Millisecond {
		time.Sleep(time.Millisecond)
	}
	least, second, most := time.Since(behind), sharedClock(), time.Since(before)
	if passed := time.Duration(second - first); passed < least || passed > most {
		t.Errorf("%s on the shared clock, %s to %s on Go's", passed, least, most)
	}
}

func TestWriterNamesItsStorage(t *testing.T) {
	for _, args := range [][]string{nil, {"ours"}, {"theirs", "x"}} {
		if runWriter(args) == nil {
			t.Errorf("%q was taken", args)
		}
	}
}
