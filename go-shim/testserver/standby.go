package testserver

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// StartStandby starts a streaming standby of a PostgreSQL server; it ends with the
// test.
func StartStandby(t testing.TB, primary *Server) *Server {
	t.Helper()
	k := postgres
	k.prepare = func(s *Server) error { return s.copyOf(primary) }
	return startFor(t, k)
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// copyOf a primary, that follows it once it is started.
func (s *Server) copyOf(primary *Server) error {
	_, err := s.tool(postgresBin+"pg_basebackup", "-D", s.data(), "-h", "127.0.0.1", "-p", strconv.Itoa(primary.port),
		"-U", "stg", "--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--no-sync")
	return err
}

// Follow makes a server that was killed a standby, with a new copy of the primary.
func (s *Server) Follow(primary *Server) error {
	if err := os.RemoveAll(s.data()); err != nil {
		return err
	}
	if err := s.copyOf(primary); err != nil {
		return err
	}
	return s.Restart()
}

// AwaitStandby returns once a standby streams from the server; from then on commits
// wait for it when they are to be synchronous. A standby has to be copied before:
// the setting would be copied too, and hold the commits of who is promoted alone.
func (s *Server) AwaitStandby(synchronous bool) error {
	want := "async"
	if synchronous {
		want = "sync"
		for _, sql := range []string{"ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()"} {
			if _, err := s.Query(s.admin, sql); err != nil {
				return err
			}
		}
	}
	const state = "SELECT sync_state FROM pg_stat_replication WHERE state = 'streaming' AND application_name = 'walreceiver'"
	for deadline := time.Now().Add(startTime); ; time.Sleep(20 * time.Millisecond) {
		lines, err := s.Query(s.admin, state)
		if err == nil && strings.Join(lines, " ") == want {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("no %s standby: %v, %v\n%s", want, lines, err, s.log())
		}
	}
}

// Promote makes a standby the primary, and returns once it is.
func (s *Server) Promote() error {
	_, err := s.tool(postgresBin+"pg_ctl", "promote", "-D", s.data())
	return err
}

// EndpointOf a database that is on whichever of some servers is the primary.
func EndpointOf(database string, servers ...*Server) string {
	var hosts []string
	for _, s := range servers {
		hosts = append(hosts, s.Address())
	}
	return fmt.Sprintf("postgres://stg:secret@%s/%s?sslmode=disable&target_session_attrs=read-write",
		strings.Join(hosts, ","), database)
}
