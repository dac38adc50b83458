package harness

import (
	"context"
	"fmt"
	"math/rand"

	"github.com/libstorage/tests/crash/history"
	"github.com/libstorage/tests/crash/target"
)

// worker calls until ctx is done.
func (r *run) worker(ctx context.Context, number int) {
	random := rand.New(rand.NewSource(r.config.Seed*1000 + int64(number)))
	for r.gate.wait(ctx) {
		prefix := r.config.Prefixes[random.Intn(len(r.config.Prefixes))]
		key := fmt.Sprintf("%shot-%03d", prefix, random.Intn(r.config.Keys))
		switch roll := random.Intn(100); {
		case roll < 15: // a key of its own
			op := r.newOp(history.Create, "")
			op.Key = fmt.Sprintf("%sown-%06d", prefix, op.ID)
			r.write(ctx, op)
		case roll < 75:
			r.change(ctx, random, key)
		case roll < 88:
			r.get(ctx, key, 0)
		case roll < 91:
			if revs := r.known.sampleRevisions(random, 1); revs != nil {
				r.get(ctx, key, revs[0])
			}
		case roll < 97:
			r.list(ctx, prefix, 0, random.Intn(3)*10)
		default:
			if revs := r.known.sampleRevisions(random, 1); revs != nil {
				r.list(ctx, "", revs[0], random.Intn(3)*20)
			}
		}
	}
}

// change creates, updates or deletes a key, whatever it is known to be ready for.
func (r *run) change(ctx context.Context, random *rand.Rand, key string) {
	expected, known := r.known.expected(key)
	if !known {
		r.get(ctx, key, 0)
		return
	}
	op := r.newOp(history.Update, key)
	op.Expected = expected
	switch {
	case expected == 0:
		op.Kind = history.Create
	case random.Intn(4) == 0:
		op.Kind, op.Value = history.Delete, ""
	}
	r.write(ctx, op)
}

func (r *run) newOp(kind history.OpKind, key string) *history.Op {
	id := r.record.NextID()
	op := &history.Op{ID: id, Kind: kind, Key: key}
	if op.Writes() {
		op.Value = fmt.Sprintf("v%d", id)
	}
	return op
}

// call runs one call and records it. The limit only ends what hangs; a call that
// it ends is a failure of the server.
func (r *run) call(ctx context.Context, op *history.Op, do func(ctx context.Context) error) {
	limited, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	op.Start = r.record.Now()
	err := do(limited)
	op.End = r.record.Now()
	op.Result = history.OK
	if err != nil {
		op.Error = err.Error()
		op.Code = target.CodeOf(err)
		op.Result = history.Failed
		if op.Code == "" {
			op.Result = history.Unknown
		}
	}
	r.record.Op(op)
	if limited.Err() != nil && ctx.Err() == nil {
		select {
		case r.failures <- fmt.Errorf("call %d, %s %q, had no answer within %s", op.ID, op.Kind, op.Key, callLimit):
		default:
		}
	}
}

func (r *run) write(ctx context.Context, op *history.Op) {
	r.call(ctx, op, func(ctx context.Context) (err error) {
		switch op.Kind {
		case history.Create:
			op.Rev, err = r.client.Create(ctx, op.Key, op.Value)
		case history.Update:
			op.Rev, err = r.client.Update(ctx, op.Key, op.Value, op.Expected)
		case history.Delete:
			op.Rev, err = r.client.Delete(ctx, op.Key, op.Expected)
		}
		return err
	})
	if op.Code == history.NoSpace {
		r.known.refuse(op.Kind)
	}
	if op.Result != history.OK {
		r.known.forget(op.Key)
		return
	}
	if op.Kind == history.Delete {
		r.known.learn(op.Key, 0)
	} else {
		r.known.learn(op.Key, op.Rev)
	}
	r.known.tell(op.Rev)
	r.known.ack()
}

func (r *run) get(ctx context.Context, key string, at int64) {
	op := r.newOp(history.Get, key)
	op.At = at
	r.call(ctx, op, func(ctx context.Context) (err error) {
		op.Items, op.Rev, err = r.client.Get(ctx, key, at)
		return err
	})
	switch {
	case at != 0:
	case op.Code == history.NotFound:
		r.known.learn(key, 0)
	case len(op.Items) == 1:
		r.known.learn(key, op.Items[0].Mod)
	}
}

func (r *run) list(ctx context.Context, prefix string, at int64, page int) *history.Op {
	op := r.newOp(history.List, prefix)
	op.At = at
	r.call(ctx, op, func(ctx context.Context) (err error) {
		op.Items, op.Rev, err = r.client.List(ctx, prefix, at, page)
		return err
	})
	if op.Result == history.OK && at == 0 {
		r.known.tell(op.Rev)
	}
	return op
}
