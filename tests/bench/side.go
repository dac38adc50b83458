package main

import (
	"errors"
	"os"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage"
)

// side is a storage.Interface for pods, a kube-apiserver, or raw statements, and the
// processes that are measured. Of a kube-apiserver's side, this process is not one of them.
type side struct {
	kube    *kube
	store   storage.Interface
	kinds   []storage.Interface // one for each of several kinds, in one engine
	raw     *raw
	other   []string // how another process opens the same storage: runWriter
	clients processes
	servers processes             // with their children
	queries func() (int64, error) // that the server has seen so far
	close   func() error
}

// before makes end run after the side is closed: what it needs goes last.
func (s *side) before(end func() error) {
	inner := s.close
	s.close = func() error { return errors.Join(inner(), end()) }
}

func (s *side) resetPeak() error { return errors.Join(s.clients.resetPeak(), s.servers.resetPeak()) }

func (s *side) usage() (clients, servers Cost, err error) {
	clients, err = s.clients.usage()
	if err != nil {
		return Cost{}, Cost{}, err
	}
	servers, err = s.servers.usageOfTrees()
	return clients, servers, err
}

func newPodObject() runtime.Object { return &corev1.Pod{} }
func newPodList() runtime.Object   { return &corev1.PodList{} }

var podResource = corev1.Resource("pods")

const storageRoot = "/registry"

func self() processes { return processes{os.Getpid()} }
