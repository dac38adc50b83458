package harness

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/libstorage/tests/crash/process"
	"github.com/libstorage/tests/history"
)

// strikeStart begins a start and ends it somewhere within: recovery itself has to
// survive.
func (r *run) strikeStart(ctx context.Context, round Round) error {
	wait, cancel := context.WithTimeout(ctx, stopLimit)
	defer cancel()
	var server *process.Process
	var note string
	var err error
	if round.Strike == history.Power {
		server, note, err = r.powerOffStart(wait)
	} else {
		server, err = r.killStart(wait)
	}
	if err != nil {
		return err
	}
	r.record.Mark(round.Strike, 0, "during a start"+note)
	r.logf("and %s during the next start%s", round.Strike, note)
	return server.Wait(wait)
}

func (r *run) killStart(ctx context.Context) (*process.Process, error) {
	limited, cancel := context.WithTimeout(ctx, time.Duration(r.rand.Int63n(int64(r.config.StartTime)+1)))
	defer cancel()
	server, err := r.target.Start(limited)
	switch {
	case server == nil:
		return nil, err
	case err != nil && limited.Err() == nil:
		return nil, fmt.Errorf("%w: %w", ErrNoStart, err)
	case err == nil: // it was quicker than that
		err = server.Kill()
	default:
		err = nil
	}
	return server, err
}

func (r *run) powerOffStart(ctx context.Context) (*process.Process, string, error) {
	limited, cancel := context.WithCancel(ctx)
	defer cancel()
	type pulled struct {
		note string
		err  error
	}
	off := make(chan pulled, 1)
	go func() {
		note, err := r.plug.Pull(r.rand, 80)
		cancel() // the start waits for the disk now
		off <- pulled{note, err}
	}()
	server, startErr := r.target.Start(limited)
	p := <-off
	if server == nil {
		return nil, "", errors.Join(startErr, p.err)
	}
	_ = server.Kill() // it has ended, or waits for the disk
	return server, p.note, errors.Join(p.err, r.plug.Restore())
}
