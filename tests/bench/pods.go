package main

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
)

// podCodec stores protobuf, as kube-apiserver does by default.
func podCodec() runtime.Codec {
	serializer := protobuf.NewSerializer(scheme.Scheme, scheme.Scheme)
	return scheme.Codecs.CodecForVersions(serializer, serializer, corev1.SchemeGroupVersion, corev1.SchemeGroupVersion)
}

// makePod is a Pod as a Deployment makes them, about 1.2 KB encoded.
func makePod(namespace, name string, i int) *corev1.Pod {
	app := fmt.Sprintf("app-%d", i%100)
	truth := true
	quantities := func(cpu, memory string) corev1.ResourceList {
		return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)}
	}
	created := metav1.NewTime(time.Unix(1700000000+int64(i), 0))
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name, GenerateName: app + "-7c5ddbdf54-",
			UID:               types.UID(fmt.Sprintf("%08x-6d1c-4f0f-9a57-0242ac12%04x", i, i%65536)),
			CreationTimestamp: created,
			Labels:            map[string]string{"app": app, "tier": "backend", "pod-template-hash": "7c5ddbdf54"},
			Annotations:       map[string]string{"prometheus.io/scrape": "true", "prometheus.io/port": "9102"},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "apps/v1", Kind: "ReplicaSet", Name: app + "-7c5ddbdf54",
				UID: types.UID(fmt.Sprintf("%08x-0b7e-4b1e-8d64-0242ac120002", i%100)), Controller: &truth, BlockOwnerDeletion: &truth,
			}},
		},
		Spec: corev1.PodSpec{
			NodeName: fmt.Sprintf("node-%d", i%50), ServiceAccountName: "default", RestartPolicy: corev1.RestartPolicyAlways,
			DNSPolicy: corev1.DNSClusterFirst, SchedulerName: "default-scheduler",
			Containers: []corev1.Container{{
				Name: "main", Image: "registry.example.com/team/" + app + ":v1.4.2", ImagePullPolicy: corev1.PullIfNotPresent,
				Args:      []string{"--listen=:8080", "--metrics=:9102", "--log-level=info"},
				Ports:     []corev1.ContainerPort{{Name: "http", ContainerPort: 8080, Protocol: corev1.ProtocolTCP}},
				Env:       []corev1.EnvVar{{Name: "CONFIG", Value: "/etc/app/config.yaml"}, {Name: "REGION", Value: "eu-central-1"}},
				Resources: corev1.ResourceRequirements{Requests: quantities("100m", "128Mi"), Limits: quantities("500m", "256Mi")},
				VolumeMounts: []corev1.VolumeMount{
					{Name: "config", MountPath: "/etc/app", ReadOnly: true},
					{Name: "kube-api-access", MountPath: "/var/run/secrets/kubernetes.io/serviceaccount", ReadOnly: true},
				},
				TerminationMessagePath: "/dev/termination-log", TerminationMessagePolicy: corev1.TerminationMessageReadFile,
			}},
			Volumes: []corev1.Volume{{Name: "config", VolumeSource: corev1.VolumeSource{
				ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: app + "-config"}},
			}}},
			Tolerations: []corev1.Toleration{
				{Key: "node.kubernetes.io/not-ready", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute},
				{Key: "node.kubernetes.io/unreachable", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute},
			},
		},
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning, HostIP: "10.0.0.7", PodIP: fmt.Sprintf("10.244.%d.%d", i/250%250, i%250), StartTime: &created,
			Conditions: []corev1.PodCondition{
				{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: created},
				{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: created},
			},
			ContainerStatuses: []corev1.ContainerStatus{{
				Name: "main", Ready: true, Image: "registry.example.com/team/" + app + ":v1.4.2",
				State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: created}},
			}},
		},
	}
}

// podAttrs are the labels and fields that the registry of pods gives the store.
func podAttrs(obj runtime.Object) (labels.Set, fields.Set, error) {
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return nil, nil, fmt.Errorf("not a pod: %T", obj)
	}
	return pod.Labels, fields.Set{
		"metadata.name": pod.Name, "metadata.namespace": pod.Namespace, "spec.nodeName": pod.Spec.NodeName,
		"spec.restartPolicy": string(pod.Spec.RestartPolicy), "spec.schedulerName": pod.Spec.SchedulerName,
		"spec.serviceAccountName": pod.Spec.ServiceAccountName, "spec.hostNetwork": fmt.Sprint(pod.Spec.HostNetwork),
		"status.phase": string(pod.Status.Phase), "status.podIP": pod.Status.PodIP,
		"status.nominatedNodeName": pod.Status.NominatedNodeName,
	}, nil
}

const namespaces = 10

// podName and podKey of the i-th pod of a set.
func podName(set string, i int) string     { return fmt.Sprintf("%s-%06d", set, i) }
func podNamespace(i int) string            { return fmt.Sprintf("team-%d", i%namespaces) }
func podKey(set string, i int) string      { return "/pods/" + podNamespace(i) + "/" + podName(set, i) }
func newPod(set string, i int) *corev1.Pod { return makePod(podNamespace(i), podName(set, i), i) }
