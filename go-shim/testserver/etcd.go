package testserver

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// Etcd is the endpoint of a new etcd that ends with the test. build/kube/build.sh
// etcd makes the binary; ETCD_BIN names another one.
func Etcd(t testing.TB) string { return StartEtcd(t).Endpoint("") }

// StartEtcd starts a server that ends with the test.
func StartEtcd(t testing.TB) *Server { return startFor(t, etcd) }

func etcdBinary() string {
	if named := os.Getenv("ETCD_BIN"); named != "" {
		return named
	}
	_, here, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(here), "../../out/tools/bin/etcd")
}

var etcd = kind{
	name:    "etcd",
	prepare: func(*Server) error { return nil },
	command: func(s *Server) []string {
		client := s.url(s, "")
		port, _ := freePort() // 0 on an error: etcd says so
		peer := fmt.Sprintf("http://127.0.0.1:%d", port)
		return []string{etcdBinary(), "--data-dir=" + filepath.Join(s.dir, "data"), "--log-level=error",
			"--listen-client-urls=" + client, "--advertise-client-urls=" + client, "--listen-peer-urls=" + peer,
			"--initial-advertise-peer-urls=" + peer, "--initial-cluster=default=" + peer}
	},
	answers: func(s *Server) error {
		client := http.Client{Timeout: time.Second}
		response, err := client.Get(s.url(s, "") + "/health")
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("/health: %s", response.Status)
		}
		return nil
	},
	url: func(s *Server, _ string) string { return fmt.Sprintf("http://127.0.0.1:%d", s.port) },
}
