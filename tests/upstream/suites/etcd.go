package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// etcd is a real one, for tests that failed on our storage.
type etcd struct {
	cmd *exec.Cmd
	dir string
	URL string
}

func startEtcd(root string) (*etcd, error) {
	dir, err := os.MkdirTemp("", "upstream-etcd")
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := listener.Addr().String()
	listener.Close()
	e := &etcd{dir: dir, URL: "http://" + address}
	e.cmd = exec.Command(filepath.Join(root, "out/tools/bin/etcd"), "--data-dir", dir, "--log-level", "error",
		"--listen-client-urls", e.URL, "--advertise-client-urls", e.URL, "--listen-peer-urls", "http://127.0.0.1:0")
	e.cmd.Stderr = os.Stderr
	e.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := e.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w: run build/kube/build.sh etcd", err)
	}
	for began := time.Now(); time.Since(began) < 30*time.Second; time.Sleep(50 * time.Millisecond) {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			return e, nil
		}
	}
	e.stop()
	return nil, fmt.Errorf("etcd did not answer on %s", address)
}

func (e *etcd) stop() {
	_ = e.cmd.Process.Signal(syscall.SIGTERM)
	_ = e.cmd.Wait()
	_ = os.RemoveAll(e.dir)
}
