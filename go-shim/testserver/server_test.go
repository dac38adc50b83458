package testserver

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func TestEtcd(t *testing.T) {
	if Etcd(t) == Etcd(t) {
		t.Error("two servers have one address")
	}
}

func TestMain(m *testing.M) { Main(m) }

// TestServers: each kind starts, makes databases, and answers its own client.
func TestServers(t *testing.T) {
	for _, start := range []func(testing.TB) *Server{StartPostgres, StartMariaDB} {
		s := start(t)
		t.Run(s.name, func(t *testing.T) {
			s.Create(t, "mine")
			lines, err := s.Query("mine", "SELECT 40 + 2")
			if err != nil || len(lines) != 1 || lines[0] != "42" {
				t.Errorf("40 + 2 is %v, %v", lines, err)
			}
			mustStandStill(t, s)
			mustComeBack(t, s)
		})
	}
}

// mustStandStill: a paused server answers nothing, also in its other processes.
func mustStandStill(t *testing.T, s *Server) {
	t.Helper()
	if err := s.Pause(); err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 1)
	go func() { answered <- s.answers(s) }()
	select {
	case err := <-answered:
		t.Errorf("a paused server answers: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	s.Resume()
	if err := <-answered; err != nil {
		t.Errorf("after a pause: %v", err)
	}
}

// mustComeBack: what is killed ends with all its processes, and has its data when
// it is started again.
func mustComeBack(t *testing.T, s *Server) {
	t.Helper()
	if _, err := s.Query("mine", "CREATE TABLE kept (n int)"); err != nil {
		t.Fatal(err)
	}
	tree, threads := treeOf(s.pid), threadsOf(t)
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	for _, pid := range tree {
		if fields := statOf(fmt.Sprintf("/proc/%d/stat", pid)); fields != nil && fields[0] != "Z" {
			t.Errorf("process %d of %v is still there: %v", pid, tree, fields[:2])
		}
	}
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	if lines, err := s.Query("mine", "SELECT count(*) FROM kept"); err != nil || len(lines) != 1 {
		t.Errorf("after a crash: %v, %v", lines, err)
	}
	for _, thread := range threads {
		if !slices.Contains(threadsOf(t), thread) {
			t.Errorf("thread %s has ended with the server: other processes that it started would be killed", thread)
		}
	}
}

// threadsOf this process, which does not end those that it has.
func threadsOf(t *testing.T) (ids []string) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		ids = append(ids, entry.Name())
	}
	return ids
}

// TestStandalone: a server of a program that is no test, and its end.
func TestStandalone(t *testing.T) {
	t.Setenv("TMPDIR", reachable(t))
	s, err := Start("postgresql")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.CreateDatabase("mine"); err != nil {
		t.Fatal(err)
	}
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", s.Pid()))
	if err != nil || filepath.Base(exe) != "postgres" {
		t.Errorf("process %d is %s, %v", s.Pid(), exe, err)
	}
	s.Close()
	if _, err := os.Stat(s.Dir()); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", s.Dir(), err)
	}
	if _, err := Start("oracle"); err == nil {
		t.Error("an unknown server started")
	}
}

// reachable is a directory that the account of a server may pass through.
func reachable(t *testing.T) string {
	dir, err := os.MkdirTemp("", "standalone-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
