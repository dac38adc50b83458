package failover

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/libstorage/go-shim/testserver"
	"github.com/libstorage/tests/crash/harness"
	"github.com/libstorage/tests/multi"
)

// cluster of database servers, of which one at a time serves the writes.
type cluster interface {
	endpoint(t *testing.T, database string) string
	// fail kills the one that serves, and returns when another one may be asked.
	fail() error
	// mend brings back the one that was killed, with whatever it missed.
	mend() error
}

// pair is a PostgreSQL primary and its standby.
type pair struct {
	primary, standby *testserver.Server
	synchronous      bool
	hosts            []*testserver.Server
}

func newPair(t *testing.T, synchronous bool) *pair {
	p := &pair{primary: testserver.StartPostgres(t), synchronous: synchronous}
	p.standby = testserver.StartStandby(t, p.primary)
	p.hosts = []*testserver.Server{p.primary, p.standby}
	if err := p.primary.AwaitStandby(synchronous); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *pair) endpoint(t *testing.T, database string) string {
	p.primary.Create(t, database)
	return testserver.EndpointOf(database, p.hosts...)
}

func (p *pair) fail() error {
	if err := p.primary.Kill(); err != nil {
		return err
	}
	p.primary, p.standby = p.standby, p.primary
	return p.primary.Promote()
}

func (p *pair) mend() error {
	if err := p.standby.Follow(p.primary); err != nil {
		return err
	}
	return p.primary.AwaitStandby(p.synchronous)
}

// galera is three nodes; one has all clients, by a proxy such as HAProxy: the
// endpoint of a MySQL database names one host.
type galera struct {
	nodes []*testserver.Server
	proxy *multi.Proxy
	now   int // the node that is used
}

func newGalera(t *testing.T) *galera {
	g := &galera{nodes: testserver.StartGalera(t, 3)}
	var err error
	if g.proxy, err = multi.NewProxy(g.nodes[0].Address()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.proxy.Close)
	return g
}

func (g *galera) node(further int) *testserver.Server {
	return g.nodes[(g.now+further)%len(g.nodes)]
}

func (g *galera) endpoint(t *testing.T, database string) string {
	g.node(0).Create(t, database)
	return g.node(0).EndpointAt(g.proxy.Port(), database)
}

func (g *galera) fail() error {
	if err := g.node(0).Kill(); err != nil {
		return err
	}
	g.proxy.Redirect(g.node(1).Address())
	g.proxy.Cut()
	g.now++
	return nil
}

// mend: the donor is blocked meanwhile. It is the node that nobody uses.
func (g *galera) mend() error {
	if err := g.node(2).Rejoin(); err != nil {
		donor, _ := os.ReadFile(filepath.Join(g.node(1).Dir(), "log"))
		return fmt.Errorf("%w\ndonor: %s", err, donor[max(0, len(donor)-2000):])
	}
	return nil
}

// members of etcd.
type members struct {
	all    []*testserver.Server
	killed *testserver.Server
}

func newMembers(t *testing.T) *members { return &members{all: testserver.StartEtcdCluster(t, 3)} }

func (m *members) endpoint(*testing.T, string) string {
	var all []string
	for _, s := range m.all {
		all = append(all, s.Endpoint(""))
	}
	return strings.Join(all, ",")
}

func (m *members) fail() error {
	for deadline := time.Now().Add(patience); ; {
		for _, s := range m.all {
			if leads, err := s.Leads(); err == nil && leads {
				m.killed = s
				return s.Kill()
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("no member has been the leader for %s", patience)
		}
	}
}

func (m *members) mend() error { return m.killed.Restart() }

// failover kills who serves and waits until writes are served again.
func failover(c cluster, log *times) harness.Fault {
	return harness.Fault{Name: "failover", Strike: func(ctx context.Context, s *harness.Strikes) (string, error) {
		begin := time.Now()
		if err := c.fail(); err != nil {
			return "", err
		}
		failed := time.Since(begin)
		resumed, err := s.AwaitWrites(ctx)
		if err != nil {
			return "", err
		}
		log.resumed = append(log.resumed, resumed)
		note := fmt.Sprintf("%s to kill and switch over; writes resumed after %s more",
			failed.Round(time.Millisecond), resumed.Round(time.Millisecond))
		if err := c.mend(); err != nil {
			return "", fmt.Errorf("%s; then: %w", note, err)
		}
		return note, nil
	}}
}
