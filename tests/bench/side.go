package main

import (
	"os"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage"
)

// side is a storage.Interface for pods, or a kube-apiserver, and the processes
// that are measured. Of a kube-apiserver's side, this process is not one of them.
type side struct {
	kube      *kube
	store     storage.Interface
	processes processes
	close     func() error
}

func newPodObject() runtime.Object { return &corev1.Pod{} }
func newPodList() runtime.Object   { return &corev1.PodList{} }

var podResource = corev1.Resource("pods")

const storageRoot = "/registry"

func self() processes { return processes{os.Getpid()} }
