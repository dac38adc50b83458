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

	"github.com/libstorage/tests/crash/checker"
	"github.com/libstorage/tests/crash/history"
	"github.com/libstorage/tests/crash/process"
	"github.com/libstorage/tests/crash/target"
)

// Config of a run. The seed decides everything but the timing.
type Config struct {
	Seed     int64
	Clients  int // concurrent callers
	Watchers int
	Keys     int      // hot keys per prefix
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
	callLimit  = 30 * time.Second
)

type run struct {
	config Config
	target target.Target
	client target.Client
	plug   Plug
	record *history.Recorder
	rand   *rand.Rand
	gate   gate
	known  *knowledge
	server *process.Process

	watchers []*watcher
	tasks    sync.WaitGroup
	failures chan error
}

// Run strikes the target as configured and returns what was recorded. An error is
// a failure of the run itself: a server that does not start, a call that hangs.
func Run(ctx context.Context, config Config, t target.Target, plug Plug) (*history.History, error) {
	r := &run{
		config: config, target: t, client: t.Client(), plug: plug,
		record: history.NewRecorder(config.History), rand: rand.New(rand.NewSource(config.Seed)),
		known: newKnowledge(), failures: make(chan error, 1),
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	err := r.all(ctx)
	cancel()
	r.gate.open(true) // whoever waits sees that it is over
	if r.server != nil {
		err = errors.Join(err, r.end())
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

func (r *run) all(ctx context.Context) error {
	if err := r.start(ctx); err != nil {
		return err
	}
	workers, stopWorkers := context.WithCancel(ctx)
	defer stopWorkers()
	var load sync.WaitGroup
	for i := range r.config.Clients {
		load.Add(1)
		go func() {
			defer load.Done()
			r.worker(workers, i)
		}()
	}
	if err := r.startWatchers(ctx); err != nil {
		return err
	}
	for i, round := range r.config.Rounds {
		if err := r.round(ctx, i, round); err != nil {
			return fmt.Errorf("round %d (%s, seed %d): %w", i, round.Strike, r.config.Seed, err)
		}
	}
	if err := r.waitAcks(ctx, r.rand.Intn(r.config.AcksPerRound)+1); err != nil {
		return err
	}
	stopWorkers()
	load.Wait()
	return r.conclude(ctx)
}

func (r *run) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	server, err := r.target.Start(ctx)
	if server != nil {
		r.server = server
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoStart, err)
	}
	r.record.Mark(history.Ready, 0, fmt.Sprintf("pid %d", server.Pid()))
	r.gate.open(true)
	return nil
}

// end stops the server for good.
func (r *run) end() error {
	if err := r.server.Kill(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopLimit)
	defer cancel()
	return r.server.Wait(ctx)
}

// waitAcks waits until so many more writes were acknowledged.
func (r *run) waitAcks(ctx context.Context, more int) error {
	ctx, cancel := context.WithTimeout(ctx, quietLimit)
	defer cancel()
	reached := r.known.await(more)
	select {
	case <-reached:
		return nil
	case err := <-r.failures:
		return err
	case <-r.server.Ended():
		return fmt.Errorf("the server ended by itself: %w", r.server.Failure())
	case <-ctx.Done():
		return fmt.Errorf("%d more writes were not acknowledged within %s\n%s", more, quietLimit, r.server.Tail(20))
	}
}

func (r *run) logf(format string, args ...any) {
	if r.config.Log != nil {
		r.config.Log(format, args...)
	}
}
