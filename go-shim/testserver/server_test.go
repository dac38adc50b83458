package testserver

import "testing"

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
		})
	}
}
