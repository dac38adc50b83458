package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"k8s.io/apiserver/pkg/storage/etcd3"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/apiserver/pkg/storage/value/encrypt/identity"

	"github.com/libstorage/tests/crash/apiserver"
)

// openEtcd is upstream's etcd3 store as kube-apiserver makes it.
func openEtcd(dir string) (*side, error) {
	server, err := apiserver.StartEtcd(os.Getenv("BENCH_ETCD"), dir)
	if err != nil {
		return nil, err
	}
	config := storagebackend.NewDefaultConfig(storageRoot, podCodec())
	config.Transport.ServerList = []string{server.URL}
	config.LeaseManagerConfig = etcd3.NewDefaultLeaseManagerConfig()
	config.Transformer = identity.NewEncryptCheckTransformer()
	store, destroy, err := factory.Create(*config.ForResource(podResource), newPodObject, newPodList, "/pods")
	if err != nil {
		return nil, errors.Join(err, server.Kill())
	}
	s := &side{store: store, processes: append(self(), server.Pid())}
	s.close = func() error {
		destroy()
		return server.Kill()
	}
	return s, s.waitReady()
}

func (s *side) waitReady() error {
	deadline := time.Now().Add(20 * time.Second)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		err := s.store.Get(ctx, podKey("none", 0), ignoreNotFound, newPodObject())
		cancel()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("etcd is not ready: %w", err)
		}
	}
}
