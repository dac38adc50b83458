package harness

import (
	"context"
	"errors"
	"fmt"

	"github.com/libstorage/tests/crash/target"
	"github.com/libstorage/tests/history"
)

// fullDisk fills the disk under the load. Creates and updates must be refused with
// a clear error while reads, deletes and compaction go on; once there is room,
// writes must go on by themselves.
func (r *run) fullDisk(ctx context.Context) error {
	disk, ok := r.plug.(Disk)
	if !ok {
		return errors.New("this disk cannot be full")
	}
	victims, err := r.victims(ctx, 20)
	if err != nil {
		return err
	}
	if err := disk.Fill(256 << 10); err != nil {
		return err
	}
	r.record.Mark(history.Full, 0, "")
	err = r.whileFull(ctx, victims)
	if err := errors.Join(err, disk.Free()); err != nil {
		return err
	}
	r.record.Mark(history.Room, 0, "")
	return r.waitAcks(ctx, 200)
}

// victims are objects that nobody else writes, for deletes that must succeed.
func (r *run) victims(ctx context.Context, n int) ([]*history.Op, error) {
	var all []*history.Op
	for range n {
		op := r.first().newOp(history.Create, "")
		op.Key = fmt.Sprintf("%svictim-%06d", r.config.Prefixes[0], op.ID)
		if r.first().write(ctx, op); op.Result != history.OK {
			return nil, fmt.Errorf("with room, %s: %s", op.Kind, op.Error)
		}
		all = append(all, op)
	}
	return all, nil
}

func (r *run) whileFull(ctx context.Context, victims []*history.Op) error {
	for _, kind := range []history.OpKind{history.Create, history.Update} {
		if err := r.awaitRefusals(ctx, kind, 20); err != nil {
			return err
		}
	}
	for _, victim := range victims {
		op := r.first().newOp(history.Delete, victim.Key)
		op.Value, op.Expected = "", victim.Rev
		if r.first().write(ctx, op); op.Result != history.OK {
			return fmt.Errorf("on a full disk, a delete: %s", op.Error)
		}
		if op := r.first().list(ctx, "", target.ListOptions{Page: 50}); op.Result != history.OK {
			return fmt.Errorf("on a full disk, a list: %s", op.Error)
		}
	}
	if err := r.compact(ctx, r.server, r.rand); err != nil {
		return fmt.Errorf("on a full disk: %w", err)
	}
	if err := r.process.Failure(); err != nil {
		return fmt.Errorf("on a full disk: %w", err)
	}
	r.logf("full: creates and updates are refused, reads, deletes and compaction go on")
	return nil
}

// awaitRefusals waits until the load was refused so many writes of a kind.
func (r *run) awaitRefusals(ctx context.Context, kind history.OpKind, n int) error {
	ctx, cancel := context.WithTimeout(ctx, quietLimit)
	defer cancel()
	begin, _ := r.known.refusalsOf(kind)
	for {
		now, next := r.known.refusalsOf(kind)
		if now-begin >= n {
			return nil
		}
		select {
		case <-next:
		case <-r.process.Ended():
			return fmt.Errorf("on a full disk: %w", r.process.Failure())
		case <-ctx.Done():
			return fmt.Errorf("a full disk refused %d %ss within %s, want %d", now-begin, kind, quietLimit, n)
		}
	}
}
