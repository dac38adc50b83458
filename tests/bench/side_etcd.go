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

// openEtcd is upstream's etcd3 store as kube-apiserver makes it, with an etcd.
func openEtcd(dir string) (*side, error) {
	server, err := apiserver.StartEtcd(os.Getenv("BENCH_ETCD"), dir)
	if err != nil {
		return nil, err
	}
	s, err := etcd3At(server.URL)
	if err != nil {
		return nil, errors.Join(err, server.Kill())
	}
	s.servers = processes{server.Pid()}
	s.queries = func() (int64, error) { return etcdQueries(server.URL) }
	s.before(server.Kill)
	return s, nil
}

// etcd3At is upstream's store over whatever speaks etcd's API at the address.
func etcd3At(url string) (*side, error) {
	config := storagebackend.NewDefaultConfig(storageRoot, podCodec())
	config.Transport.ServerList = []string{url}
	config.LeaseManagerConfig = etcd3.NewDefaultLeaseManagerConfig()
	config.Transformer = identity.NewEncryptCheckTransformer()
	store, destroy, err := factory.Create(*config.ForResource(podResource), newPodObject, newPodList, "/pods")
	if err != nil {
		return nil, err
	}
	s := &side{store: store, other: []string{"etcd", url}, clients: self(), close: func() error {
		destroy()
		return nil
	}}
	if err := s.waitReady(); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
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
			return fmt.Errorf("the server is not ready: %w", err)
		}
	}
}
