package harness

import (
	"context"
	"errors"
	"fmt"

	"github.com/libstorage/tests/crash/dropfs"
	"github.com/libstorage/tests/crash/process"
	"github.com/libstorage/tests/crash/target"
	"github.com/libstorage/tests/history"
)

// FirstStart cuts the power before the n-th change that a fresh server makes: while
// it creates its files, or during the few writes that follow. It must start again,
// with everything that it acknowledged. Not reached: it made fewer changes.
func FirstStart(ctx context.Context, t target.Target, disk *DropFS, n int, seed int64) (h *history.History, reached bool, err error) {
	r := newRun(Config{Seed: seed, Prefixes: []string{"first/"}}, t)
	r.plug = disk
	if reached, err = r.firstStart(ctx, disk.FS, n); err == nil && reached {
		err = r.secondStart(ctx)
	}
	if r.process != nil {
		_ = r.process.Kill() // the cut may still come, from housekeeping: then it waits for the disk
		err = errors.Join(err, disk.Restore(), r.end())
	}
	h, recordErr := r.record.Finish()
	return h, reached, errors.Join(err, recordErr)
}

const firstWrites = 6

func (r *run) firstStart(ctx context.Context, fs *dropfs.FS, n int) (reached bool, err error) {
	if err := fs.Arm(n, r.rand.Uint64(), dropfs.DrawPercent); err != nil {
		return false, err
	}
	off := make(chan error, 1)
	go func() {
		_, err := fs.Wait()
		off <- err
	}()
	limited, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	type started struct {
		server *process.Process
		err    error
	}
	done := make(chan started, 1)
	go func() {
		server, err := r.target.Start(limited)
		for i := 0; err == nil && limited.Err() == nil && i < firstWrites; i++ {
			r.first().write(limited, r.first().newOp(history.Create, fmt.Sprintf("first/%d", i)))
		}
		done <- started{server, err}
	}()
	select {
	case s := <-done:
		r.process = s.server
		return false, s.err
	case err = <-off:
	}
	cancel() // the server and its callers wait for the disk
	s := <-done
	if s.server == nil {
		return true, errors.Join(s.err, err)
	}
	_ = s.server.Kill() // it has ended, or waits for the disk
	wait, cancelWait := context.WithTimeout(ctx, stopLimit)
	defer cancelWait()
	return true, errors.Join(err, r.plug.Restore(), s.server.Wait(wait))
}

func (r *run) secondStart(ctx context.Context) error {
	if err := r.start(ctx, r.server); err != nil {
		return err
	}
	r.first().list(ctx, "", target.ListOptions{})
	op := r.first().newOp(history.Create, "first/again")
	if r.first().write(ctx, op); op.Result != history.OK {
		return fmt.Errorf("a write after the power loss: %s", op.Error)
	}
	if op := r.first().list(ctx, "", target.ListOptions{Page: 2}); op.Result != history.OK {
		return fmt.Errorf("a list after the power loss: %s", op.Error)
	}
	return nil
}
