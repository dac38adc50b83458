package apiserver

import (
	"fmt"
	"net"
	"path/filepath"

	"github.com/libstorage/tests/crash/process"
)

// Etcd is a real etcd with default settings and its data in a directory.
type Etcd struct {
	URL string
	*process.Process
}

// StartEtcd returns at once: clients wait for it.
func StartEtcd(binary, dir string) (*Etcd, error) {
	var urls []string
	for range 2 {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer listener.Close()
		urls = append(urls, "http://"+listener.Addr().String())
	}
	p, err := process.Start(process.Spec{Name: "etcd", Dir: dir, Path: binary, Args: []string{
		"--data-dir", filepath.Join(dir, "etcd"), "--log-level=warn",
		"--listen-client-urls", urls[0], "--advertise-client-urls", urls[0],
		"--listen-peer-urls", urls[1], "--initial-advertise-peer-urls", urls[1],
		"--initial-cluster", "default=" + urls[1],
	}})
	if err != nil {
		return nil, fmt.Errorf("etcd: %w", err)
	}
	return &Etcd{urls[0], p}, nil
}
