package store

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"
)

// The benchmarks measure this package: pods of 1.2 KB in protobuf, as
// kube-apiserver stores them, over the memory backend.

func benchStore(b *testing.B, change ...func(*Options)) *Store {
	coreScheme := runtime.NewScheme()
	if err := corev1.AddToScheme(coreScheme); err != nil {
		b.Fatal(err)
	}
	factory := serializer.NewCodecFactory(coreScheme)
	pb := protobuf.NewSerializer(coreScheme, coreScheme)
	return newTestStore(b, openDB(b, memoryDB(b)), append([]func(*Options){func(o *Options) {
		o.Codec = runtime.NewCodec(factory.EncoderForVersion(pb, corev1.SchemeGroupVersion), factory.DecoderToVersion(pb, corev1.SchemeGroupVersion))
		o.NewFunc = func() runtime.Object { return &corev1.Pod{} }
		o.NewListFunc = func() runtime.Object { return &corev1.PodList{} }
		o.Transformer = nil
		o.GetAttrs = func(obj runtime.Object) (labels.Set, fields.Set, error) {
			p := obj.(*corev1.Pod)
			return p.Labels, fields.Set{
				"metadata.name": p.Name, "metadata.namespace": p.Namespace, "spec.nodeName": p.Spec.NodeName,
				"spec.restartPolicy": string(p.Spec.RestartPolicy), "status.phase": string(p.Status.Phase),
			}, nil
		}
	}}, change...)...)
}

func corePod(i int) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns", Name: fmt.Sprintf("pod-%07d", i), UID: types.UID(fmt.Sprintf("3f1d1c1e-0000-0000-0000-%012d", i)),
			Labels:            map[string]string{"app": "web", "pod-template-hash": "5d4f8c7b9", "tier": "front"},
			CreationTimestamp: metav1.Unix(1700000000, 0),
			OwnerReferences:   []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web-5d4f8c7b9", UID: "8c0c5b5e-1111-2222-3333-444455556666"}},
		},
		Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicyAlways, NodeName: "node-17", ServiceAccountName: "default"},
	}
	for c := range 2 {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{
			Name: fmt.Sprintf("c%d", c), Image: "registry.example.com/team/web:v1.2.3", Args: []string{"--listen=:8080", "--log-level=info"},
			Env:          []corev1.EnvVar{{Name: "A", Value: "some value of an environment variable"}, {Name: "B", Value: "another one"}},
			Ports:        []corev1.ContainerPort{{Name: "http", ContainerPort: 8080, Protocol: corev1.ProtocolTCP}},
			VolumeMounts: []corev1.VolumeMount{{Name: "token", ReadOnly: true, MountPath: "/var/run/secrets/kubernetes.io/serviceaccount"}},
		})
	}
	for _, c := range []corev1.PodConditionType{corev1.PodReady, corev1.PodInitialized, corev1.ContainersReady, corev1.PodScheduled} {
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: c, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Unix(1700000001, 0)})
	}
	return p
}

func coreKey(i int) string { return fmt.Sprintf("/pods/ns/pod-%07d", i) }

func fill(b *testing.B, s *Store, n int) {
	for i := range n {
		if err := s.Create(context.Background(), coreKey(i), corePod(i), nil, 0); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCodec(b *testing.B) {
	s := benchStore(b)
	p := corePod(1)
	buffer, err := s.encode(p)
	if err != nil {
		b.Fatal(err)
	}
	data := slices.Clone(buffer.Bytes())
	b.Run("encode", func(b *testing.B) {
		b.ReportMetric(float64(len(data)), "bytes")
		for range b.N {
			buffer, _ := s.encode(p)
			putBuffer(buffer)
		}
	})
	b.Run("decode", func(b *testing.B) {
		for range b.N {
			if err := s.decodeInto(data, &corev1.Pod{}, 7, "k"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("copy", func(b *testing.B) {
		for range b.N {
			p.DeepCopyObject()
		}
	})
	b.Run("attributes", func(b *testing.B) {
		for range b.N {
			s.attributes(p, data).put()
		}
	})
}

func BenchmarkGet(b *testing.B) {
	s := benchStore(b)
	fill(b, s, 1000)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if err := s.Get(context.Background(), coreKey(i%1000), storage.GetOptions{}, &corev1.Pod{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCreate(b *testing.B) {
	for _, watches := range []int{0, 1} {
		b.Run(fmt.Sprintf("watches=%d", watches), func(b *testing.B) {
			s := benchStore(b)
			for range watches {
				w := mustWatch(b, s, "1", wantProgress)
				go func() {
					for range w.ResultChan() {
					}
				}()
			}
			pods := make([]*corev1.Pod, b.N)
			for i := range pods {
				pods[i] = corePod(i)
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				if err := s.Create(context.Background(), coreKey(i), pods[i], &corev1.Pod{}, 0); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkUpdate(b *testing.B) {
	s := benchStore(b)
	cached := &corev1.Pod{}
	if err := s.Create(context.Background(), coreKey(0), corePod(0), cached, 0); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		out := &corev1.Pod{}
		err := s.GuaranteedUpdate(context.Background(), coreKey(0), out, false, nil, storage.SimpleUpdate(func(obj runtime.Object) (runtime.Object, error) {
			obj.(*corev1.Pod).Generation = int64(i)
			return obj, nil
		}), cached)
		if err != nil {
			b.Fatal(err)
		}
		cached = out
	}
}

func BenchmarkList(b *testing.B) {
	s := benchStore(b)
	fill(b, s, 10000)
	for _, tc := range []struct {
		limit int64
		node  string
	}{{0, ""}, {500, ""}, {0, "none"}} {
		b.Run(fmt.Sprintf("limit=%d,node=%s", tc.limit, tc.node), func(b *testing.B) {
			opts := all()
			opts.Predicate.GetAttrs = s.getAttrs
			opts.Predicate.Limit = tc.limit
			if tc.node != "" {
				opts.Predicate.Field = fieldNode(tc.node)
			}
			b.ReportAllocs()
			for range b.N {
				opts.Predicate.Continue = ""
				for {
					list := &corev1.PodList{}
					if err := s.GetList(context.Background(), "/pods", opts, list); err != nil {
						b.Fatal(err)
					}
					if opts.Predicate.Continue = list.Continue; list.Continue == "" {
						break
					}
				}
			}
		})
	}
}

// BenchmarkWatch: 50 watches at 1,000 writes a second, for b.N writes.
func BenchmarkWatch(b *testing.B) {
	for _, share := range []bool{false, true} {
		b.Run(fmt.Sprintf("share=%v", share), func(b *testing.B) {
			s := benchStore(b, func(o *Options) { o.ShareEncoding = share })
			sent := make([]atomic.Int64, b.N)
			var mu sync.Mutex
			var delays []time.Duration
			var wg sync.WaitGroup
			for range 50 {
				w := mustWatch(b, s, "1")
				wg.Add(1)
				go func() {
					defer wg.Done()
					own := receive(w, sent)
					mu.Lock()
					delays = append(delays, own...)
					mu.Unlock()
				}()
			}
			b.ResetTimer()
			begin := time.Now()
			for i := range b.N {
				time.Sleep(time.Until(begin.Add(time.Duration(i) * time.Millisecond)))
				p := corePod(i)
				sent[i].Store(time.Now().UnixNano())
				if err := s.Create(context.Background(), coreKey(i), p, &corev1.Pod{}, 0); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/time.Since(begin).Seconds(), "writes/s")
			wg.Wait()
			slices.Sort(delays)
			b.ReportMetric(float64(delays[len(delays)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(delays[len(delays)*99/100].Microseconds())/1000, "p99-ms")
		})
	}
}

// receive takes as many events as there are writes, and measures from their start.
func receive(w watch.Interface, sent []atomic.Int64) []time.Duration {
	delays := make([]time.Duration, len(sent))
	for i := range sent {
		<-w.ResultChan()
		delays[i] = time.Since(time.Unix(0, sent[i].Load()))
	}
	return delays
}
