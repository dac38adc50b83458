package harness

import (
	"context"
	"fmt"
	"math/rand"
	"time"

	"github.com/libstorage/tests/crash/target"
	"github.com/libstorage/tests/history"
)

// caller makes one call at a time on one server.
type caller struct {
	*run
	on     *server
	number int
}

// first is the caller of the run itself, on the first server.
func (r *run) first() *caller { return &caller{r, r.server, 0} }

// Back-off of a caller whose server has no answer for now.
const (
	leastPause = 2 * time.Millisecond
	mostPause  = 200 * time.Millisecond
)

// worker calls until ctx is done.
func (r *run) worker(ctx context.Context, number int) {
	c := &caller{r, r.servers[number%len(r.servers)], number + 1}
	random := rand.New(rand.NewSource(r.config.Seed*1000 + int64(number)))
	pause := leastPause
	for c.on.gate.wait(ctx) {
		if op := c.some(ctx, random); op == nil || answered(op) {
			pause = leastPause
			continue
		}
		select {
		case <-time.After(pause):
			pause = min(2*pause, mostPause)
		case <-ctx.Done():
		}
	}
}

// answered: the call did what it was asked for, or was told why it cannot.
func answered(op *history.Op) bool {
	return op.Result == history.OK || op.Result == history.Failed && op.Code != history.Other
}

// some call; nil when there is nothing to ask for yet.
func (c *caller) some(ctx context.Context, random *rand.Rand) *history.Op {
	prefix := c.config.Prefixes[random.Intn(len(c.config.Prefixes))]
	key := fmt.Sprintf("%shot-%03d", prefix, random.Intn(c.config.Keys))
	if random.Intn(100) < c.config.Own {
		op := c.newOp(history.Create, "")
		op.Key = fmt.Sprintf("%sown-%06d", prefix, op.ID)
		return c.write(ctx, op)
	}
	told := func() int64 { return c.known.someRevision(random) } // 0: none yet
	switch roll := random.Intn(100); {
	case roll < 70:
		return c.change(ctx, random, key)
	case roll < 85:
		return c.get(ctx, key, 0)
	case roll < 89:
		return c.get(ctx, key, told())
	case roll < 94:
		return c.list(ctx, prefix, target.ListOptions{Page: random.Intn(3) * 10})
	case roll < 97:
		return c.list(ctx, prefix, target.ListOptions{Min: told(), Page: random.Intn(3) * 10})
	}
	return c.list(ctx, "", target.ListOptions{At: told(), Page: random.Intn(3) * 20})
}

// change creates, updates or deletes a key, whatever it is known to be ready for.
func (c *caller) change(ctx context.Context, random *rand.Rand, key string) *history.Op {
	expected, known := c.known.expected(key)
	if !known {
		return c.get(ctx, key, 0)
	}
	op := c.newOp(history.Update, key)
	op.Expected = expected
	switch {
	case expected == 0:
		op.Kind = history.Create
	case random.Intn(4) == 0:
		op.Kind, op.Value = history.Delete, ""
	}
	return c.write(ctx, op)
}

func (c *caller) newOp(kind history.OpKind, key string) *history.Op {
	id := c.record.NextID()
	op := &history.Op{ID: id, Kind: kind, Key: key, Server: c.on.number, Client: c.number}
	if op.Writes() {
		op.Value = fmt.Sprintf("v%d", id)
	}
	return op
}

// call runs one call and records it. The limit only ends what hangs; a call that
// it ends is a failure of the server.
func (c *caller) call(ctx context.Context, op *history.Op, do func(ctx context.Context) error) {
	limited, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	op.Start = c.record.Now()
	err := do(limited)
	op.End = c.record.Now()
	op.Result = history.OK
	if err != nil {
		op.Error = err.Error()
		op.Code = target.CodeOf(err)
		op.Result = history.Failed
		if op.Code == "" {
			op.Result = history.Unknown
		}
	}
	c.record.Op(op)
	if answered(op) {
		c.known.answer()
	}
	if limited.Err() != nil && ctx.Err() == nil {
		c.fail(fmt.Errorf("call %d, %s %q, had no answer within %s", op.ID, op.Kind, op.Key, callLimit))
	}
}

// fail ends the run: the first failure is told.
func (r *run) fail(err error) {
	select {
	case r.failures <- err:
	default:
	}
}

func (c *caller) write(ctx context.Context, op *history.Op) *history.Op {
	c.call(ctx, op, func(ctx context.Context) (err error) {
		switch op.Kind {
		case history.Create:
			op.Rev, err = c.on.client.Create(ctx, op.Key, op.Value)
		case history.Update:
			op.Rev, err = c.on.client.Update(ctx, op.Key, op.Value, op.Expected)
		case history.Delete:
			op.Rev, err = c.on.client.Delete(ctx, op.Key, op.Expected)
		}
		return err
	})
	if op.Code == history.NoSpace {
		c.known.refuse(op.Kind)
	}
	if op.Result != history.OK {
		c.known.forget(op.Key)
		return op
	}
	if op.Kind == history.Delete {
		c.known.learn(op.Key, 0)
	} else {
		c.known.learn(op.Key, op.Rev)
	}
	c.known.tell(op.Rev)
	c.known.ack()
	return op
}

func (c *caller) get(ctx context.Context, key string, at int64) *history.Op {
	op := c.newOp(history.Get, key)
	op.At = at
	c.call(ctx, op, func(ctx context.Context) (err error) {
		op.Items, op.Rev, err = c.on.client.Get(ctx, key, at)
		return err
	})
	switch {
	case at != 0:
	case op.Code == history.NotFound:
		c.known.learn(key, 0)
	case len(op.Items) == 1:
		c.known.learn(key, op.Items[0].Mod)
	}
	return op
}

func (c *caller) list(ctx context.Context, prefix string, o target.ListOptions) *history.Op {
	op := c.newOp(history.List, prefix)
	op.At, op.Min = o.At, o.Min
	c.call(ctx, op, func(ctx context.Context) error {
		all, err := c.on.client.List(ctx, prefix, o)
		op.Items, op.Rev = all.Items, all.Rev
		if len(all.Pages) > 1 {
			op.Pages = all.Pages
		}
		return err
	})
	if op.Result == history.OK && op.At == 0 {
		c.known.tell(op.Rev)
	}
	return op
}
