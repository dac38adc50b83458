// Package harness runs a mixed load against a server, kills it again and again,
// and records everything that anybody was told.
package harness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"strings"
	"sync"
	"time"

	"github.com/libstorage/tests/crash/process"
	"github.com/libstorage/tests/crash/target"
	"github.com/libstorage/tests/history"
	"github.com/libstorage/tests/history/checker"
)

// Config of a run. The seed decides everything but the timing.
type Config struct {
	Seed     int64
	Clients  int      // concurrent callers of each server
	Watchers int      // of each server
	Keys     int      // hot keys per prefix
	Own      int      // percentage of calls that create a key that was never there
	Prefixes []string // each ends in '/'; "" watches all of them
	Rounds   []Round
	// Acks of writes that a round waits for before it strikes: random up to this.
	AcksPerRound int
	StartTime    time.Duration // about what a start takes; a strike during one falls within
	History      io.Writer     // JSON lines; may be nil
	Log          func(format string, args ...any)
}

// Round is one strike.
type Round struct {
	Strike   history.MarkKind // Kill, Power, Stop or Full
	LoseMeta bool             // delete the metadata store while it is down
	Compact  bool             // raise the floor before
	Again    bool             // strike once more while it starts
}

// Plug cuts the power of the disk: dropfs.
type Plug interface {
	// Pull returns once the power is off: before one of the next changes to the
	// disk, at most so many of them away.
	Pull(rand *rand.Rand, within int) (string, error)
	// Restore returns once what survived is mounted. It frees who waits for the disk.
	Restore() error
}

// ErrNoStart: a server refused the data that a strike left, or found it damaged.
var ErrNoStart = errors.New("the server does not start")

// Disk that can be full. A Plug may be one.
type Disk interface {
	// Fill leaves so much room.
	Fill(room int64) error
	// Free gives all the room that is wanted.
	Free() error
}

// limits on waiting for conditions that a healthy server meets at once.
const (
	startLimit = 90 * time.Second
	stopLimit  = 60 * time.Second
	quietLimit = 60 * time.Second
	callLimit  = 60 * time.Second
)

// server is one of those under test.
type server struct {
	number  int
	target  target.Target
	client  target.Client
	gate    gate
	life    sync.Mutex       // of who ends it or starts it while others may
	process *process.Process // of the goroutine that strikes, or of who has life
}

type run struct {
	*server // the one that rounds strike
	servers []*server
	config  Config
	plug    Plug
	record  *history.Recorder
	rand    *rand.Rand
	known   *knowledge
	begin   func(ctx context.Context, s *server) error // the first start of each
	ctx     context.Context                            // of the run

	watchers []*watcher
	tasks    sync.WaitGroup
	failures chan error
}

// Run strikes the target as configured and returns what was recorded. An error is
// a failure of the run itself: a server that does not start, a call that hangs.
func Run(ctx context.Context, config Config, t target.Target, plug Plug) (*history.History, error) {
	r := newRun(config, t)
	r.plug = plug
	return r.complete(ctx, r.strikes)
}

// newRun with targets that are one store. Rounds strike the first.
func newRun(config Config, targets ...target.Target) *run {
	r := &run{
		config: config, record: history.NewRecorder(config.History), rand: rand.New(rand.NewSource(config.Seed)),
		known: newKnowledge(), failures: make(chan error, 1),
	}
	for i, t := range targets {
		r.servers = append(r.servers, &server{number: i, target: t, client: t.Client()})
	}
	r.server, r.begin = r.servers[0], r.start
	return r
}

// complete runs the load, and strikes it, to the end of all.
func (r *run) complete(ctx context.Context, strikes func(ctx context.Context) error) (*history.History, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r.ctx = ctx
	err := r.all(ctx, strikes)
	cancel()
	for _, s := range r.servers {
		s.gate.open(true) // whoever waits sees that it is over
		s.life.Lock()
		err = errors.Join(err, s.end())
		s.life.Unlock()
	}
	r.tasks.Wait()
	h, recordErr := r.record.Finish()
	return h, errors.Join(err, recordErr)
}

// Refuted is the error of a history that breaks promises.
type Refuted struct{ Violations []checker.Violation }

// Error gives a few examples of each rule.
func (r *Refuted) Error() string {
	const examples = 4
	count := map[checker.Rule]int{}
	var text strings.Builder
	fmt.Fprintf(&text, "%d violations:", len(r.Violations))
	for _, v := range r.Violations {
		if count[v.Rule]++; count[v.Rule] <= examples {
			text.WriteString("\n  " + v.String())
		}
	}
	for rule, n := range count {
		if n > examples {
			fmt.Fprintf(&text, "\n  %s: %d in all", rule, n)
		}
	}
	return text.String()
}

// Check runs the checker. Its error is a *Refuted.
func Check(h *history.History) error {
	if violations := checker.Check(h); len(violations) > 0 {
		return &Refuted{violations}
	}
	return nil
}

func (r *run) all(ctx context.Context, strikes func(ctx context.Context) error) error {
	for _, s := range r.servers {
		if err := r.begin(ctx, s); err != nil {
			return err
		}
	}
	workers, stopWorkers := context.WithCancel(ctx)
	defer stopWorkers()
	var load sync.WaitGroup
	for i := range r.config.Clients * len(r.servers) {
		load.Add(1)
		go func() {
			defer load.Done()
			r.worker(workers, i)
		}()
	}
	if err := r.startWatchers(ctx); err != nil {
		return err
	}
	if err := strikes(ctx); err != nil {
		return err
	}
	stopWorkers()
	load.Wait()
	return r.conclude(ctx)
}

// strikes are the rounds.
func (r *run) strikes(ctx context.Context) error {
	for i, round := range r.config.Rounds {
		if err := r.round(ctx, i, round); err != nil {
			return fmt.Errorf("round %d (%s, seed %d): %w", i, round.Strike, r.config.Seed, err)
		}
	}
	return r.waitAcks(ctx, r.rand.Intn(r.config.AcksPerRound)+1)
}

func (r *run) start(ctx context.Context, s *server) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	started, err := s.target.Start(ctx)
	if started != nil {
		s.process = started
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoStart, err)
	}
	r.record.Mark(history.Ready, 0, fmt.Sprintf("server %d, pid %d", s.number, started.Pid()))
	s.gate.open(true)
	return nil
}

// end stops the server for good.
func (s *server) end() error {
	if s.process == nil {
		return nil
	}
	if err := s.process.Kill(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopLimit)
	defer cancel()
	return s.process.Wait(ctx)
}

// waitAcks waits until so many more writes were acknowledged.
func (r *run) waitAcks(ctx context.Context, more int) error {
	ctx, cancel := context.WithTimeout(ctx, quietLimit)
	defer cancel()
	reached := r.known.awaitAcks(more)
	select {
	case <-reached:
		return nil
	case err := <-r.failures:
		return err
	case <-r.process.Ended():
		return fmt.Errorf("the server ended by itself: %w", r.process.Failure())
	case <-ctx.Done():
		return fmt.Errorf("%d more writes were not acknowledged within %s\n%s", more, quietLimit, r.process.Tail(20))
	}
}

func (r *run) logf(format string, args ...any) {
	if r.config.Log != nil {
		r.config.Log(format, args...)
	}
}
