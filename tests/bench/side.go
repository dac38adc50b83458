package main

import (
	"fmt"
	"os"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage"
)

// side is a storage.Interface for pods and the processes behind it.
type side struct {
	store     storage.Interface
	processes processes
	close     func() error
}

func newPodObject() runtime.Object { return &corev1.Pod{} }
func newPodList() runtime.Object   { return &corev1.PodList{} }

var podResource = corev1.Resource("pods")

const storageRoot = "/registry"

// openSide starts a side with its data in dir, which is empty.
func openSide(name, dir string) (*side, error) {
	switch name {
	case "ours":
		return openOurs(dir)
	case "etcd":
		return openEtcd(dir)
	}
	return nil, fmt.Errorf("unknown side %q", name)
}

func self() processes { return processes{os.Getpid()} }
