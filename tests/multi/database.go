package multi

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/libstorage/go-shim/testserver"
	"github.com/libstorage/tests/crash/harness"
)

// database is a server with a proxy before it.
type database struct {
	server *testserver.Server
	proxy  *Proxy
	commit string // bytes of the request that commits
}

// commits are what passes by when a lane transaction commits: the name of the
// prepared statement, the statement, and the key of the head.
var commits = map[string]string{"postgresql": "commit", "mariadb": "COMMIT", "etcd": "lane/head"}

func behindProxy(t testing.TB, s *testserver.Server) *database {
	proxy, err := NewProxy(s.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	return &database{s, proxy, commits[s.Name()]}
}

// endpoint of a new database through the proxy.
func (d *database) endpoint(t testing.TB, name string) string {
	if d.server.Name() != "etcd" {
		d.server.Create(t, name)
	}
	return d.server.EndpointAt(d.proxy.Port(), name)
}

// What is longer than any time-out of a lane session, and than the 3 s within which
// calls have to be refused.
const (
	leastSilence = 3500 * time.Millisecond
	mostSilence  = 6 * time.Second
)

// crashes of the machines that the databases run on.
func crashes(all []*database) []harness.Fault {
	draw := func(s *harness.Strikes) *database { return all[s.Random.Intn(len(all))] }
	return []harness.Fault{
		{Name: "kill -9 of a database", Strike: func(_ context.Context, s *harness.Strikes) (string, error) {
			d := draw(s)
			if err := d.server.Kill(); err != nil {
				return "", err
			}
			return d.server.Name(), d.server.Restart()
		}},
		{Name: "SIGSTOP of a database", Strike: func(_ context.Context, s *harness.Strikes) (string, error) {
			d, length := draw(s), s.Between(leastSilence, mostSilence)
			if err := d.server.Pause(); err != nil {
				return "", err
			}
			time.Sleep(length)
			d.server.Resume()
			return fmt.Sprintf("%s for %s", d.server.Name(), length), nil
		}},
	}
}

// cuts of connections.
func cuts(all []*database) []harness.Fault {
	draw := func(s *harness.Strikes) *database { return all[s.Random.Intn(len(all))] }
	return []harness.Fault{
		{Name: "dropped connections", Strike: func(_ context.Context, s *harness.Strikes) (string, error) {
			d := draw(s)
			return fmt.Sprintf("%d to %s", d.proxy.Cut(), d.server.Name()), nil
		}},
		{Name: "frozen connections", Strike: func(_ context.Context, s *harness.Strikes) (string, error) {
			d, length := draw(s), s.Between(leastSilence, mostSilence)
			d.proxy.Freeze()
			time.Sleep(length)
			d.proxy.Thaw()
			return fmt.Sprintf("to %s for %s", d.server.Name(), length), nil
		}},
		{Name: "a COMMIT lost", Strike: lose(draw, LoseRequest)},
		{Name: "the reply to a COMMIT lost", Strike: lose(draw, LoseReply)},
	}
}

func lose(draw func(*harness.Strikes) *database, what Lose) func(context.Context, *harness.Strikes) (string, error) {
	return func(_ context.Context, s *harness.Strikes) (string, error) {
		d := draw(s)
		silent := s.Between(0, 300*time.Millisecond)
		if s.Random.Intn(3) == 0 {
			silent = s.Between(leastSilence, mostSilence)
		}
		select {
		case <-d.proxy.Lose(what, d.commit, silent):
			return fmt.Sprintf("by %s, silent for %s", d.server.Name(), silent), nil
		case <-time.After(mostSilence + 10*time.Second): // nothing is written: another line's fault
			d.proxy.Disarm()
			return "not hit: " + d.server.Name(), nil
		}
	}
}
