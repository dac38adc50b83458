package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"k8s.io/apiserver/pkg/storage/etcd3"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/apiserver/pkg/storage/value/encrypt/identity"
)

// etcdServer is a real etcd with default settings in a directory of its own.
type etcdServer struct {
	url     string
	process *exec.Cmd
	ended   chan error
}

func startEtcd(binary, dir string) (*etcdServer, error) {
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	url := func(port int) string { return fmt.Sprintf("http://127.0.0.1:%d", port) }
	log, err := os.Create(filepath.Join(dir, "etcd.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	e := &etcdServer{url: url(ports[0]), ended: make(chan error, 1)}
	e.process = exec.Command(binary, "--data-dir", filepath.Join(dir, "etcd"), "--log-level=warn",
		"--listen-client-urls", url(ports[0]), "--advertise-client-urls", url(ports[0]),
		"--listen-peer-urls", url(ports[1]), "--initial-advertise-peer-urls", url(ports[1]),
		"--initial-cluster", "default="+url(ports[1]))
	e.process.Stdout, e.process.Stderr = log, log
	e.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := e.process.Start(); err != nil {
		return nil, fmt.Errorf("etcd (BENCH_ETCD names the binary): %w", err)
	}
	go func() { e.ended <- e.process.Wait() }()
	return e, nil
}

func (e *etcdServer) stop() error {
	if err := e.process.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	<-e.ended // it says "signal: terminated"
	return nil
}

// freePorts asks the kernel for ports that nobody listens on.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer listener.Close()
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// openEtcd is upstream's etcd3 store as kube-apiserver makes it.
func openEtcd(dir string) (*side, error) {
	server, err := startEtcd(os.Getenv("BENCH_ETCD"), dir)
	if err != nil {
		return nil, err
	}
	config := storagebackend.NewDefaultConfig(storageRoot, podCodec())
	config.Transport.ServerList = []string{server.url}
	config.LeaseManagerConfig = etcd3.NewDefaultLeaseManagerConfig()
	config.Transformer = identity.NewEncryptCheckTransformer()
	store, destroy, err := factory.Create(*config.ForResource(podResource), newPodObject, newPodList, "/pods")
	if err != nil {
		return nil, errors.Join(err, server.stop())
	}
	s := &side{store: store, processes: append(self(), server.process.Process.Pid)}
	s.close = func() error {
		destroy()
		return server.stop()
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
