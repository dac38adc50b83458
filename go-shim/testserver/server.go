// Package testserver starts the database servers that tests need, from Debian's
// packages, in private directories and on ports of their own. A server that cannot
// be started fails the test: nothing is skipped.
//
// Postgres and MariaDB give databases of one server for the whole test binary, which
// calls Main from TestMain; StartPostgres and StartMariaDB start one for a test.
package testserver

import (
	"bytes"
	"context"
	"fmt"
	"math/rand"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// startTime bounds how long a server may take to answer.
const startTime = 60 * time.Second

// kind of server: how it is set up, started, and spoken to.
type kind struct {
	name    string
	account string // the user that it runs as when the tests run as root
	prepare func(s *Server) error
	command func(s *Server) []string
	answers func(s *Server) error                     // nil once it is ready
	client  func(s *Server, database string) []string // runs the statement that is appended
	admin   string                                    // a database that is always there
	url     func(s *Server, database string) string
}

// Server is a running server.
type Server struct {
	kind
	dir       string
	port      int
	pid       int
	stop      func()
	databases atomic.Int64
}

// shared servers of a test binary.
type shared struct {
	kind kind
	once sync.Once
	s    *Server
	err  error
}

var sharedPostgres, sharedMariaDB = &shared{kind: postgres}, &shared{kind: mariadb}

// Main runs the tests of a binary and ends the servers that they shared.
func Main(m *testing.M) {
	code := m.Run()
	for _, one := range []*shared{sharedPostgres, sharedMariaDB} {
		if one.s != nil {
			one.s.end()
		}
	}
	os.Exit(code)
}

// Postgres is the endpoint of a new, empty PostgreSQL database.
func Postgres(t testing.TB) string { return sharedPostgres.get(t).NewDatabase(t) }

// MariaDB is the endpoint of a new, empty MariaDB database.
func MariaDB(t testing.TB) string { return sharedMariaDB.get(t).NewDatabase(t) }

// StartPostgres starts a server that ends with the test.
func StartPostgres(t testing.TB) *Server { return startFor(t, postgres) }

// StartMariaDB starts a server that ends with the test.
func StartMariaDB(t testing.TB) *Server { return startFor(t, mariadb) }

func (one *shared) get(t testing.TB) *Server {
	t.Helper()
	one.once.Do(func() { one.s, one.err = start(one.kind) })
	if one.err != nil {
		t.Fatalf("starting %s: %v", one.kind.name, one.err)
	}
	return one.s
}

func startFor(t testing.TB, k kind) *Server {
	t.Helper()
	s, err := start(k)
	if err != nil {
		t.Fatalf("starting %s: %v", k.name, err)
	}
	t.Cleanup(s.end)
	return s
}

// NewDatabase creates an empty database and returns its endpoint.
func (s *Server) NewDatabase(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test%d", s.databases.Add(1))
	s.Create(t, name)
	return s.Endpoint(name)
}

// Create creates a database with a name.
func (s *Server) Create(t testing.TB, name string) {
	t.Helper()
	if err := s.CreateDatabase(name); err != nil {
		t.Fatal(err)
	}
}

// Endpoint is what a topology says for a database.
func (s *Server) Endpoint(database string) string { return s.url(s, database) }

// Dir holds all files of the server.
func (s *Server) Dir() string { return s.dir }

// Query runs SQL by the server's own client and returns its lines.
func (s *Server) Query(database, sql string) ([]string, error) {
	args := append(s.client(s, database), sql)
	out, err := s.tool(args[0], args[1:]...)
	if err != nil {
		return nil, err
	}
	return strings.Fields(out), nil
}

func start(k kind) (*Server, error) {
	s := &Server{kind: k}
	if err := s.set(); err != nil {
		s.end()
		return nil, err
	}
	return s, nil
}

func (s *Server) end() {
	if s.stop != nil {
		s.stop()
	}
	if s.dir != "" {
		_ = os.RemoveAll(s.dir)
	}
}

func (s *Server) set() error {
	var err error
	if s.dir, err = os.MkdirTemp("", s.name+"-"); err != nil {
		return err
	}
	if credential := s.credential(); credential != nil {
		if err := os.Chown(s.dir, int(credential.Uid), int(credential.Gid)); err != nil {
			return err
		}
	}
	if s.port, err = freePort(); err != nil {
		return err
	}
	if err := s.prepare(s); err != nil {
		return err
	}
	ended := make(chan error, 1)
	if err := s.run(ended); err != nil {
		return err
	}
	return s.awaitAnswer(ended)
}

// answersSQL is for kinds with a client.
func answersSQL(s *Server) error {
	_, err := s.Query(s.admin, "SELECT 1")
	return err
}

func (s *Server) awaitAnswer(ended <-chan error) error {
	for deadline := time.Now().Add(startTime); ; {
		err := s.answers(s)
		if err == nil {
			return nil
		}
		select {
		case died := <-ended:
			return fmt.Errorf("it ended at once: %v\n%s", died, s.log())
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("it does not answer: %v\n%s", err, s.log())
		}
	}
}

// run starts the process. It dies with this one, however that ends. To the kernel
// (prctl(2), PR_SET_PDEATHSIG) its parent is a thread, which nobody else may lock and
// end before. That thread is given back: whatever else it had started would end with it.
func (s *Server) run(ended chan<- error) error {
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	args := s.command(s)
	command := exec.Command(args[0], args[1:]...)
	command.Dir, command.Stdout, command.Stderr = s.dir, log, log
	command.SysProcAttr = &syscall.SysProcAttr{Credential: s.credential(), Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	gone := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer log.Close()
		defer close(gone)
		err := command.Start()
		started <- err
		if err == nil {
			ended <- command.Wait()
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	s.pid = command.Process.Pid
	s.stop = func() {
		_ = command.Process.Kill() // also one that is paused; its children see that
		<-gone
	}
	return nil
}

// credential of the account; nil when the tests do not run as root.
func (s *Server) credential() *syscall.Credential {
	if os.Getuid() != 0 {
		return nil
	}
	account, err := user.Lookup(s.account)
	if err != nil {
		return nil // the package is missing: its programs are not found either
	}
	uid, _ := strconv.ParseUint(account.Uid, 10, 32)
	gid, _ := strconv.ParseUint(account.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// tool runs a program of the server's package to its end and returns its output.
func (s *Server) tool(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	var errors bytes.Buffer
	command := exec.CommandContext(ctx, name, args...)
	command.Dir, command.Stderr = s.dir, &errors
	command.SysProcAttr = &syscall.SysProcAttr{Credential: s.credential()}
	out, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", filepath.Base(name), err, bytes.TrimSpace(errors.Bytes()))
	}
	return string(out), nil
}

func (s *Server) log() []byte {
	text, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	return text[max(0, len(text)-2000):]
}

// freePort is below the range that outgoing connections take theirs from
// (ip_local_port_range begins at 32768): one of those could have it before the
// server gets there, or while it is down.
func freePort() (int, error) {
	const first, ports, tries = 12000, 20000, 1000
	var err error
	for range tries {
		port := first + rand.Intn(ports)
		var l net.Listener
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			return port, l.Close()
		}
	}
	return 0, err
}
