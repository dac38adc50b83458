package main

import (
	"bytes"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// The targets are for pods of about 1.2 KB, the size of the earlier measurements.
func TestPodsHaveTheRightSize(t *testing.T) {
	for _, i := range []int{0, 7, 49999} {
		data, err := runtime.Encode(podCodec(), newPod("memory", i))
		if err != nil {
			t.Fatal(err)
		}
		if len(data) < 1100 || len(data) > 1300 {
			t.Errorf("pod %d has %d bytes", i, len(data))
		}
		back, err := runtime.Decode(podCodec(), data)
		if err != nil {
			t.Fatal(err)
		}
		again, err := runtime.Encode(podCodec(), back)
		if err != nil || !bytes.Equal(again, data) {
			t.Errorf("pod %d is not read back as it was: %v", i, err)
		}
	}
}

func BenchmarkPodDecode(b *testing.B) {
	codec := podCodec()
	data, err := runtime.Encode(codec, newPod("one", 1))
	if err != nil {
		b.Fatal(err)
	}
	for range b.N {
		if err := runtime.DecodeInto(codec, data, &corev1.Pod{}); err != nil {
			b.Fatal(err)
		}
	}
}
