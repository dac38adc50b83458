package testserver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// StartEtcdCluster starts the members of a cluster; they end with the test.
func StartEtcdCluster(t testing.TB, members int) []*Server {
	t.Helper()
	var peers, urls []string
	for i := range members {
		port, err := freePort()
		if err != nil {
			t.Fatal(err)
		}
		peers = append(peers, fmt.Sprintf("http://127.0.0.1:%d", port))
		urls = append(urls, fmt.Sprintf("m%d=%s", i, peers[i]))
	}
	all, failed := make([]*Server, members), make([]error, members)
	var starting sync.WaitGroup
	for i := range members { // none of them answers before there is a majority
		starting.Add(1)
		go func() {
			defer starting.Done()
			all[i], failed[i] = start(etcdMember(i, peers[i], strings.Join(urls, ",")))
		}()
	}
	starting.Wait()
	for _, s := range all {
		if s != nil {
			t.Cleanup(s.end)
		}
	}
	if err := errors.Join(failed...); err != nil {
		t.Fatalf("starting a cluster of etcd: %v", err)
	}
	return all
}

func etcdMember(i int, peer, cluster string) kind {
	k := etcd
	k.command = func(s *Server) []string {
		client := s.url(s, "")
		return []string{etcdBinary(), "--name=" + fmt.Sprintf("m%d", i), "--data-dir=" + filepath.Join(s.dir, "data"),
			"--log-level=error", "--listen-client-urls=" + client, "--advertise-client-urls=" + client,
			"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=" + cluster}
	}
	return k
}

// Leads tells whether a member of an etcd cluster is its leader.
func (s *Server) Leads() (bool, error) {
	client := http.Client{Timeout: time.Second}
	response, err := client.Post(s.url(s, "")+"/v3/maintenance/status", "application/json", bytes.NewBufferString("{}"))
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	var status struct {
		Header struct {
			Member string `json:"member_id"`
		}
		Leader string
	}
	if err := json.NewDecoder(response.Body).Decode(&status); err != nil {
		return false, err
	}
	return status.Leader != "" && status.Leader == status.Header.Member, nil
}
