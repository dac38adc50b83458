package harness

import (
	"context"
	"fmt"
	"math/rand"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libstorage/tests/crash/process"
	"github.com/libstorage/tests/crash/target"
	"github.com/libstorage/tests/history"
)

// Chaos is what comes over the servers and what they stand on while the load goes
// on, at random.
type Chaos struct {
	Calls int // answered calls of the load until the run ends
	// Lines of faults: of each line one fault at a time, drawn from it; lines overlap.
	Lines [][]Fault
	Gap   int // a line waits for so many answered calls, at most, before its next fault
}

// Fault is done and undone by Strike. The note says what was hit.
type Fault struct {
	Name   string
	Strike func(ctx context.Context, s *Strikes) (note string, err error)
}

// Strikes is what a fault has at hand.
type Strikes struct {
	Random *rand.Rand // of the line
	chaos  *chaosRun
}

type chaosRun struct {
	*run
	chaos Chaos
	ours  sync.Map // *process.Process whose end is ours
	count sync.Map // name of a fault -> *atomic.Int64
}

// RunChaos is Run with faults in place of rounds, on targets that are one store.
func RunChaos(ctx context.Context, config Config, chaos Chaos, targets ...target.Target) (*history.History, error) {
	r := &chaosRun{run: newRun(config, targets...), chaos: chaos}
	r.begin = r.restart
	return r.complete(ctx, r.strikes)
}

// strikes until there were enough calls; then every fault is undone.
func (r *chaosRun) strikes(ctx context.Context) error {
	done := r.known.awaitAnswers(r.chaos.Calls)
	lines, stop := context.WithCancel(ctx)
	defer stop()
	var running sync.WaitGroup
	for i, faults := range r.chaos.Lines {
		s := &Strikes{rand.New(rand.NewSource(r.config.Seed*100 + int64(i))), r}
		running.Add(1)
		go func() {
			defer running.Done()
			if err := r.line(lines, s, faults); err != nil {
				r.fail(err)
			}
		}()
	}
	err := r.awaitAll(ctx, done)
	stop()
	running.Wait()
	r.count.Range(func(name, n any) bool {
		r.logf("%d times: %s", n.(*atomic.Int64).Load(), name)
		return true
	})
	if err == nil {
		select {
		case err = <-r.failures: // while the last fault was undone
		default:
			err = r.settle(ctx)
		}
	}
	return err
}

// settle waits until each server writes everywhere: they find back by themselves.
func (r *chaosRun) settle(ctx context.Context) error {
	took, err := r.writeEverywhere(ctx)
	if err != nil {
		return fmt.Errorf("without faults, %w", err)
	}
	r.logf("without faults everything is written again after %s", took.Round(time.Millisecond))
	return nil
}

// writeEverywhere waits until each server has written to each prefix. Its error is
// that of the last call, which is not cut short.
func (r *chaosRun) writeEverywhere(ctx context.Context) (time.Duration, error) {
	begin := time.Now()
	call := context.WithoutCancel(ctx)
	for _, s := range r.servers {
		c := &caller{r.run, s, 0}
		for _, prefix := range r.config.Prefixes {
			for pause := leastPause; ; pause = min(2*pause, mostPause) {
				op := c.newOp(history.Create, "")
				op.Key = fmt.Sprintf("%ssettle-%06d", prefix, op.ID)
				if c.write(call, op); op.Result == history.OK {
					break
				}
				if since := time.Since(begin); since > quietLimit || ctx.Err() != nil {
					return since, fmt.Errorf("server %d has not written to %q for %s: %s", s.number, prefix, since.Round(time.Millisecond), op.Error)
				}
				time.Sleep(pause)
			}
		}
	}
	return time.Since(begin), nil
}

// awaitAll waits until there were enough calls. No answer at all for long is a failure.
func (r *chaosRun) awaitAll(ctx context.Context, done <-chan struct{}) error {
	for {
		select {
		case <-done:
			return nil
		case err := <-r.failures:
			return err
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(quietLimit):
			return fmt.Errorf("no call was answered within %s\n%s", quietLimit, r.tails())
		case <-r.known.awaitAnswers(1):
		}
	}
}

// line strikes until ctx is done. A fault that has begun is undone first.
func (r *chaosRun) line(ctx context.Context, s *Strikes, faults []Fault) error {
	for {
		select {
		case <-r.known.awaitAnswers(1 + s.Random.Intn(r.chaos.Gap)):
		case <-ctx.Done():
			return nil
		}
		fault := faults[s.Random.Intn(len(faults))]
		begin := r.record.Now()
		r.record.Mark(history.Fault, 0, fault.Name)
		note, err := fault.Strike(context.WithoutCancel(ctx), s)
		if err != nil {
			return fmt.Errorf("%s: %w", fault.Name, err)
		}
		r.record.Mark(history.Fault, 0, "over: "+fault.Name+" "+note)
		n, _ := r.count.LoadOrStore(fault.Name, new(atomic.Int64))
		n.(*atomic.Int64).Add(1)
		r.logf("%s: %s %s", time.Duration(begin).Round(time.Millisecond), fault.Name, note)
	}
}

// guard: a server that ends by itself fails the run, but for one that says that it has to
// be started again: that is done, as a supervisor would.
func (r *chaosRun) guard(s *server) {
	p := s.process
	go func() {
		<-p.Ended()
		if _, ours := r.ours.Load(p); ours || r.ctx.Err() != nil {
			return
		}
		err := p.Failure()
		if p.ExitCode() == target.Unfit {
			err = r.startAgain(s, p)
		}
		if err != nil {
			r.fail(fmt.Errorf("server %d ended by itself: %w", s.number, err))
		}
	}()
}

func (r *chaosRun) startAgain(s *server, ended *process.Process) error {
	s.life.Lock()
	defer s.life.Unlock()
	if s.process != ended || r.ctx.Err() != nil {
		return nil
	}
	s.gate.open(false)
	r.logf("server %d: %s", s.number, ended.Tail(1))
	if err := r.restart(r.ctx, s); r.ctx.Err() == nil {
		return err
	}
	return nil
}

func (r *chaosRun) tails() (text string) {
	for _, s := range r.servers {
		if s.process != nil {
			text += fmt.Sprintf("server %d:\n%s\n", s.number, s.process.Tail(20))
		}
	}
	return text
}

// restart what was killed, or was never there. A start that fails, mostly by a fault
// of another line, is tried again, as a supervisor would.
func (r *chaosRun) restart(ctx context.Context, s *server) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for pause := leastPause; ; pause = min(2*pause, time.Second) {
		err := r.start(ctx, s)
		if err == nil {
			r.guard(s)
			return nil
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
	}
}

// AwaitWrites returns once each server has written to each prefix, and says how long
// that took.
func (s *Strikes) AwaitWrites(ctx context.Context) (time.Duration, error) {
	return s.chaos.writeEverywhere(ctx)
}

// AwaitAcks returns once so many more writes were acknowledged.
func (s *Strikes) AwaitAcks(ctx context.Context, more int) error { return s.chaos.waitAcks(ctx, more) }

// draw a server.
func (s *Strikes) draw() *server { return s.chaos.servers[s.Random.Intn(len(s.chaos.servers))] }

// KillServer kills a server and starts it again. Only one line may have it, and
// PauseServer.
var KillServer = Fault{"kill -9 of a server", func(ctx context.Context, s *Strikes) (string, error) {
	victim := s.draw()
	victim.life.Lock()
	defer victim.life.Unlock()
	victim.gate.open(false)
	s.chaos.ours.Store(victim.process, true)
	if err := victim.end(); err != nil {
		return "", err
	}
	return fmt.Sprintf("server %d", victim.number), s.chaos.restart(ctx, victim)
}}

// PauseServer stops a server for longer than its peers and its database wait for it.
func PauseServer(least, most time.Duration) Fault {
	return Fault{"SIGSTOP of a server", func(_ context.Context, s *Strikes) (string, error) {
		victim, length := s.draw(), s.Between(least, most)
		victim.life.Lock()
		defer victim.life.Unlock()
		if err := victim.process.Pause(); err != nil {
			if victim.process.Failure() != nil {
				return "it has ended", nil // and is started again
			}
			return "", err
		}
		time.Sleep(length)
		victim.process.Resume()
		return fmt.Sprintf("server %d for %s", victim.number, length), nil
	}}
}

// CompactHistory raises the floor through some server, if it can.
var CompactHistory = Fault{"compaction", func(ctx context.Context, s *Strikes) (string, error) {
	if err := s.chaos.compact(ctx, s.draw(), s.Random); err != nil {
		return err.Error(), nil // a fault of another line
	}
	return "", nil
}}

// Between draws a length of time.
func (s *Strikes) Between(least, most time.Duration) time.Duration {
	return least + time.Duration(s.Random.Int63n(int64(most-least)+1))
}
