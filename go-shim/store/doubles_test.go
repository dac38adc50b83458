package store

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apiserver/pkg/storage/value"

	"github.com/libstorage/go-shim/kv"
)

// failOn is a transformer that cannot read values that hold a text.
type failOn struct {
	value.Transformer
	text string
}

func (f *failOn) TransformFromStorage(ctx context.Context, data []byte, dataCtx value.Context) ([]byte, bool, error) {
	if bytes.Contains(data, []byte(f.text)) {
		return nil, false, errors.New("cannot read this one")
	}
	return f.Transformer.TransformFromStorage(ctx, data, dataCtx)
}

// afterList does something after every page, on the goroutine that reads it.
type afterList struct {
	kv.Store
	do func()

	mu     sync.Mutex
	lists  int
	counts int // lists that count what comes after them
}

func (a *afterList) List(ctx context.Context, r kv.ResourceID, start, end string, o kv.ReadOptions) (*kv.Result, error) {
	result, err := a.Store.List(ctx, r, start, end, o)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lists++
	if o.WantRemaining {
		a.counts++
	}
	if a.do != nil {
		a.do()
	}
	return result, err
}

// failingWatch has watches that end at once.
type failingWatch struct {
	kv.Store
	err error
}

func (f *failingWatch) Watch(context.Context, kv.ResourceID, string, string, int64) (kv.Watcher, error) {
	return failingFeed{f.err}, nil
}

type failingFeed struct{ err error }

func (f failingFeed) Next(context.Context) (*kv.Batch, error) { return nil, f.err }
func (f failingFeed) RequestProgress()                        {}
func (f failingFeed) Close()                                  {}

// waitFor wants a condition to become true.
func waitFor(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(soon); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still no %s", what)
		}
	}
}

// tracked counts results that were taken and not released.
type tracked struct {
	kv.Store
	taken, open atomic.Int64
}

func (d *tracked) track(r *kv.Result) *kv.Result {
	if r == nil {
		return nil
	}
	d.taken.Add(1)
	d.open.Add(1)
	tracked := kv.NewResult(func() { d.open.Add(-1); r.Release() })
	tracked.KVs, tracked.Revision, tracked.More, tracked.Remaining = r.KVs, r.Revision, r.More, r.Remaining
	return tracked
}

func (d *tracked) trackError(err error) error {
	var e *kv.Error
	if errors.As(err, &e) && e.Current != nil {
		e.Current = d.track(e.Current)
	}
	return err
}

func (d *tracked) Get(ctx context.Context, r kv.ResourceID, key string, o kv.ReadOptions) (*kv.Result, error) {
	result, err := d.Store.Get(ctx, r, key, o)
	return d.track(result), err
}

func (d *tracked) List(ctx context.Context, r kv.ResourceID, start, end string, o kv.ReadOptions) (*kv.Result, error) {
	result, err := d.Store.List(ctx, r, start, end, o)
	return d.track(result), err
}

func (d *tracked) Put(ctx context.Context, r kv.ResourceID, key string, value []byte, o kv.PutOptions) (int64, error) {
	rev, err := d.Store.Put(ctx, r, key, value, o)
	return rev, d.trackError(err)
}

func (d *tracked) Delete(ctx context.Context, r kv.ResourceID, key string, expected int64) (int64, error) {
	rev, err := d.Store.Delete(ctx, r, key, expected)
	return rev, d.trackError(err)
}

func (d *tracked) Watch(ctx context.Context, r kv.ResourceID, start, end string, after int64) (kv.Watcher, error) {
	feed, err := d.Store.Watch(ctx, r, start, end, after)
	return &trackedFeed{feed, d}, err
}

type trackedFeed struct {
	kv.Watcher
	d *tracked
}

func (f *trackedFeed) Next(ctx context.Context) (*kv.Batch, error) {
	b, err := f.Watcher.Next(ctx)
	if b == nil {
		return b, err
	}
	f.d.taken.Add(1)
	f.d.open.Add(1)
	tracked := kv.NewBatch(func() { f.d.open.Add(-1); b.Release() })
	tracked.Events, tracked.Progress = b.Events, b.Progress
	return tracked, err
}
