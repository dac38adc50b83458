package main

import "testing"

// The targets are for objects of 1.7 KB, the size of the earlier measurements.
func TestWidgetsHaveTheRightSize(t *testing.T) {
	for _, i := range []int{0, 9999} {
		if n := len(widget(podName("created", i), i)); n < 1600 || n > 1800 {
			t.Errorf("widget %d has %d bytes", i, n)
		}
	}
}
