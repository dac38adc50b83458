package testserver

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// galeraLibrary is from Debian's package galera-4.
const galeraLibrary = "/usr/lib/galera/libgalera_smm.so"

// member of a Galera cluster.
type member struct {
	group, state, increments int    // ports
	peers                    string // addresses of all
	name, donor              string // who gives it the data; donors give it to nobody else meanwhile
	first                    bool   // of the cluster, at its first start
}

// StartGalera starts the nodes of a MariaDB cluster, one after the other: each gets
// its data, also when it is started again after Kill, from the one before it. They end
// with the test.
func StartGalera(t testing.TB, nodes int) []*Server {
	t.Helper()
	var members []*member
	var groups []string
	for i := range nodes {
		m := &member{name: fmt.Sprintf("n%d", i), donor: fmt.Sprintf("n%d", (i+nodes-1)%nodes)}
		for _, port := range []*int{&m.group, &m.state, &m.increments} {
			var err error
			if *port, err = freePort(); err != nil {
				t.Fatal(err)
			}
		}
		members, groups = append(members, m), append(groups, fmt.Sprintf("127.0.0.1:%d", m.group))
	}
	var all []*Server
	for i, m := range members {
		m.first, m.peers = i == 0, strings.Join(groups, ",")
		all = append(all, startFor(t, m.kind()))
		m.first = false // restarted it joins the others
	}
	return all
}

func (m *member) kind() kind {
	k := mariadb
	k.prepare = func(s *Server) error {
		if m.first {
			return mariadb.prepare(s)
		}
		_, err := s.tool("mkdir", s.data()) // as the account of the server
		return err
	}
	k.command = func(s *Server) []string {
		args := append(mariadb.command(s),
			"--binlog-format=ROW", "--innodb-autoinc-lock-mode=2", "--innodb-log-file-size=16M",
			"--wsrep-on=ON", "--wsrep-provider="+galeraLibrary, "--wsrep-cluster-name=test",
			"--wsrep-node-name="+m.name, "--wsrep-sst-donor="+m.donor+",", "--wsrep-sst-method=rsync",
			fmt.Sprintf("--wsrep-sst-receive-address=127.0.0.1:%d", m.state),
			fmt.Sprintf("--wsrep-node-address=127.0.0.1:%d", m.group),
			fmt.Sprintf("--wsrep-provider-options=gmcast.listen_addr=tcp://127.0.0.1:%d;ist.recv_addr=127.0.0.1:%d;gcache.size=32M",
				m.group, m.increments))
		if m.first {
			return append(args, "--wsrep-new-cluster", "--wsrep-cluster-address=gcomm://")
		}
		return append(args, "--wsrep-cluster-address=gcomm://"+m.peers)
	}
	k.answers = synced
	return k
}

// Rejoin brings a killed node back as a new one: all its data comes from the others.
func (s *Server) Rejoin() error {
	if err := os.RemoveAll(s.data()); err != nil {
		return err
	}
	if err := s.prepare(s); err != nil {
		return err
	}
	return s.Restart()
}

// synced: a node answers SELECT 1 also while it has no data.
func synced(s *Server) error {
	state, err := s.Status("wsrep_local_state_comment")
	if err == nil && state != "Synced" {
		err = fmt.Errorf("the node is %s", state)
	}
	return err
}

// Status is a status variable of a MariaDB server.
func (s *Server) Status(variable string) (string, error) {
	lines, err := s.Query("information_schema", "SELECT variable_value FROM global_status WHERE variable_name = '"+variable+"'")
	return strings.Join(lines, " "), err
}
