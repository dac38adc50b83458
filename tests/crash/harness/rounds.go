package harness

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"time"

	"github.com/libstorage/tests/crash/target"
	"github.com/libstorage/tests/history"
)

func (r *run) round(ctx context.Context, number int, round Round) error {
	if err := r.waitAcks(ctx, r.rand.Intn(r.config.AcksPerRound)+1); err != nil {
		return err
	}
	if round.Compact {
		if err := r.compact(ctx, r.server, r.rand); err != nil {
			return err
		}
	}
	if round.Strike == history.Full {
		return r.fullDisk(ctx)
	}
	begin := time.Now()
	note, err := r.strike(ctx, round)
	if err != nil {
		return err
	}
	if round.LoseMeta {
		if err := r.target.LoseMetadata(); err != nil {
			return err
		}
		r.record.Mark(history.MetaLost, 0, "")
	}
	if round.Again {
		if err := r.strikeStart(ctx, round); err != nil {
			return err
		}
	}
	old := r.known.sampleRevisions(r.rand, 4)
	if err := r.start(ctx, r.server); err != nil {
		return err
	}
	r.logf("round %d: %s%s, metadata lost %v, back after %s", number, round.Strike, note, round.LoseMeta,
		time.Since(begin).Round(time.Millisecond))
	return r.probe(ctx, old)
}

// strike ends the server; afterwards nothing of it runs.
func (r *run) strike(ctx context.Context, round Round) (note string, err error) {
	wait, cancel := context.WithTimeout(ctx, stopLimit)
	defer cancel()
	switch round.Strike {
	case history.Stop:
		r.gate.open(false)
		r.record.Mark(history.Stop, 0, "")
		return "", r.process.Terminate(wait)
	case history.Kill:
		r.gate.open(false)
		r.record.Mark(history.Kill, 0, "")
		if err := r.process.Kill(); err != nil {
			return "", err
		}
	case history.Power:
		note, err = r.plug.Pull(r.rand, 300)
		r.gate.open(false)
		if err != nil {
			return "", err
		}
		r.record.Mark(history.Power, 0, note)
		// Whoever waits for the disk ends only once it is back.
		if err := errors.Join(r.process.Kill(), r.plug.Restore()); err != nil {
			return "", err
		}
	default:
		return "", fmt.Errorf("unknown strike %q", round.Strike)
	}
	return note, r.process.Wait(wait)
}

// probe reads at revisions told before the strike: they are good, or all void when
// the metadata was lost. The checker decides.
func (r *run) probe(ctx context.Context, old []int64) error {
	for _, rev := range old {
		op := r.first().list(ctx, "", target.ListOptions{At: rev, Page: r.rand.Intn(2) * 7})
		if op.Result == history.Unknown {
			return fmt.Errorf("a list at %d has no answer: %s", rev, op.Error)
		}
		stream := r.newStream(r.server, -1, "", rev)
		s, err := r.client.Watch(ctx, "", rev)
		if err == nil {
			err = r.probeStream(stream, s)
		}
		code := target.CodeOf(err)
		r.record.Close(stream, code, fmt.Sprint(err))
		if err != nil && code == "" {
			return fmt.Errorf("a watch after %d: %w", rev, err)
		}
	}
	return nil
}

// probeStream takes the first delivery: an event, a mark or an end.
func (r *run) probeStream(stream *history.Stream, s target.Stream) error {
	defer s.Close()
	// Without writes after it a revision gives nothing; writers run again by now.
	timer := time.AfterFunc(callLimit, s.Close)
	defer timer.Stop()
	event, err := s.Next()
	if err == nil {
		event.Time = r.record.Now()
		r.record.Deliver(stream, event)
	}
	return err
}

// compact raises the floor to a revision told a while ago.
func (r *run) compact(ctx context.Context, on *server, random *rand.Rand) error {
	rev := r.known.someRevision(random)
	if rev == 0 {
		return nil
	}
	r.record.Mark(history.Compact, rev, "")
	r.known.forgetBelow(rev)
	call, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	if err := on.client.Compact(call, rev); err != nil && !errors.Is(err, target.ErrUnsupported) {
		return fmt.Errorf("compaction to %d: %w", rev, err)
	}
	return nil
}

// conclude writes a last object, waits until every watcher has it, and lists.
func (r *run) conclude(ctx context.Context) error {
	for _, prefix := range r.config.Prefixes {
		op := r.first().newOp(history.Create, prefix+"zz-last")
		r.first().write(ctx, op)
		if op.Result != history.OK {
			return fmt.Errorf("the last write: %s %s", op.Result, op.Error)
		}
		for _, w := range r.watchers {
			if err := w.reach(ctx, prefix, op.Rev); err != nil {
				return err
			}
		}
	}
	for _, s := range r.servers {
		c := &caller{r, s, 0}
		for _, page := range []int{0, 50} {
			if op := c.list(ctx, "", target.ListOptions{Page: page}); op.Result != history.OK {
				return fmt.Errorf("the last list of server %d: %s %s", s.number, op.Result, op.Error)
			}
		}
	}
	return nil
}
