package store

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libstorage/go-shim/kv"
)

// fakeKV is a throw-away kv.Store until package native exists.
type fakeKV struct {
	mu     sync.Mutex
	rev    int64
	floor  int64
	objs   map[string]kv.KV
	log    []kv.Event
	notify chan struct{}
	closed bool
}

func newFakeKV() *fakeKV {
	return &fakeKV{rev: 1, objs: map[string]kv.KV{}, notify: make(chan struct{})}
}

type slab struct{ bufs [][]byte }

func (s *slab) copy(b []byte) []byte {
	if b == nil {
		return nil
	}
	c := bytes.Clone(b)
	if c == nil {
		c = []byte{}
	}
	s.bufs = append(s.bufs, c)
	return c
}
func (s *slab) poison() {
	for _, b := range s.bufs {
		for i := range b {
			b[i] = 0xDB
		}
	}
}

func (f *fakeKV) result(rows ...kv.KV) *kv.Result {
	s := &slab{}
	r := kv.NewResult(s.poison)
	r.Revision = f.rev
	for _, row := range rows {
		row.Key, row.Value = s.copy(row.Key), s.copy(row.Value)
		r.KVs = append(r.KVs, row)
	}
	return r
}

func (f *fakeKV) Register(kv.Resource) (kv.ResourceID, error) { return 0, nil }

// at is the state at a revision.
func (f *fakeKV) at(rev int64) map[string]kv.KV {
	m := map[string]kv.KV{}
	for k, v := range f.objs {
		m[k] = v
	}
	for i := len(f.log) - 1; i >= 0 && f.log[i].Revision > rev; i-- {
		e := f.log[i]
		if e.Prev == nil {
			delete(m, string(e.Key))
			continue
		}
		// find mod revision of prev
		row := kv.KV{Key: e.Key, Value: e.Prev}
		for j := i - 1; j >= 0; j-- {
			if string(f.log[j].Key) == string(e.Key) {
				row.ModRevision = f.log[j].Revision
				break
			}
		}
		m[string(e.Key)] = row
	}
	return m
}

func (f *fakeKV) view(o kv.ReadOptions) (map[string]kv.KV, int64, error) {
	if o.Revision > f.rev {
		return nil, 0, &kv.Error{Code: kv.CodeFutureRevision, Message: "future revision", Revision: f.rev}
	}
	if o.Exact {
		if o.Revision < f.floor {
			return nil, 0, &kv.Error{Code: kv.CodeCompacted, Message: "compacted", Floor: f.floor, Revision: f.rev}
		}
		return f.at(o.Revision), o.Revision, nil
	}
	return f.objs, f.rev, nil
}

func (f *fakeKV) Get(ctx context.Context, _ kv.ResourceID, key string, o kv.ReadOptions) (*kv.Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	m, rev, err := f.view(o)
	if err != nil {
		return nil, err
	}
	row, ok := m[key]
	if !ok {
		return nil, &kv.Error{Code: kv.CodeNotFound, Message: "not found", Revision: rev}
	}
	r := f.result(row)
	r.Revision = rev
	return r, nil
}

func (f *fakeKV) List(ctx context.Context, _ kv.ResourceID, start, end string, o kv.ReadOptions) (*kv.Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	m, rev, err := f.view(o)
	if err != nil {
		return nil, err
	}
	var keys []string
	for k := range m {
		if k >= start && (end == "" || k < end) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	n := len(keys)
	if o.Limit > 0 {
		n = min(n, int(o.Limit))
	}
	n = min(n, 300) // like a byte budget
	var rows []kv.KV
	for _, k := range keys[:n] {
		rows = append(rows, m[k])
	}
	r := f.result(rows...)
	r.Revision = rev
	r.More = n < len(keys)
	if o.WantRemaining {
		r.Remaining = int64(len(keys) - n)
	}
	return r, nil
}

func (f *fakeKV) Count(ctx context.Context, r kv.ResourceID, start, end string) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := int64(0)
	for k := range f.objs {
		if k >= start && (end == "" || k < end) {
			n++
		}
	}
	return n, nil
}

func (f *fakeKV) commit(e kv.Event) int64 {
	f.rev++
	e.Revision = f.rev
	f.log = append(f.log, e)
	close(f.notify)
	f.notify = make(chan struct{})
	return f.rev
}

func (f *fakeKV) check(key string, expected int64) (kv.KV, bool, error) {
	row, ok := f.objs[key]
	switch {
	case expected == kv.AnyRevision:
	case expected == 0 && ok:
		return row, ok, &kv.Error{Code: kv.CodeExists, Message: "exists", Current: f.result(row), Revision: f.rev}
	case expected != 0 && !ok:
		return row, ok, &kv.Error{Code: kv.CodeNotFound, Message: "gone", Revision: f.rev}
	case expected != 0 && row.ModRevision != expected:
		return row, ok, &kv.Error{Code: kv.CodeConflict, Message: "conflict", Current: f.result(row), Revision: f.rev}
	}
	return row, ok, nil
}

func (f *fakeKV) Put(ctx context.Context, _ kv.ResourceID, key string, value []byte, o kv.PutOptions) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	old, ok, err := f.check(key, o.Expected)
	if err != nil {
		return 0, err
	}
	row := kv.KV{Key: []byte(key), Value: append([]byte{}, value...)}
	e := kv.Event{Kind: kv.EventCreate, Key: row.Key, Value: row.Value}
	if ok {
		e.Kind, e.Prev = kv.EventUpdate, old.Value
	}
	rev := f.commit(e)
	row.ModRevision, row.CreateRevision = rev, rev
	if ok {
		row.CreateRevision = old.CreateRevision
	}
	f.objs[key] = row
	if o.TTLMillis > 0 {
		time.AfterFunc(time.Duration(o.TTLMillis)*time.Millisecond, func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.objs[key].ModRevision == rev {
				f.remove(key, kv.EventExpire)
			}
		})
	}
	return rev, nil
}

func (f *fakeKV) remove(key string, kind kv.EventKind) int64 {
	old := f.objs[key]
	delete(f.objs, key)
	return f.commit(kv.Event{Kind: kind, Key: []byte(key), Prev: old.Value})
}

func (f *fakeKV) Delete(ctx context.Context, _ kv.ResourceID, key string, expected int64) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok, err := f.check(key, expected)
	if err != nil {
		return 0, err
	}
	if !ok {
		return 0, &kv.Error{Code: kv.CodeNotFound, Message: "gone", Revision: f.rev}
	}
	return f.remove(key, kv.EventDelete), nil
}

type fakeWatcher struct {
	f          *fakeKV
	start, end string
	pos        int64
	progress   bool
	poke       chan struct{}
	closed     chan struct{}
	once       sync.Once
}

func (f *fakeKV) Watch(ctx context.Context, _ kv.ResourceID, start, end string, after int64) (kv.Watcher, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if after < f.floor {
		return nil, &kv.Error{Code: kv.CodeCompacted, Message: "compacted", Floor: f.floor}
	}
	return &fakeWatcher{f: f, start: start, end: end, pos: after, poke: make(chan struct{}, 1), closed: make(chan struct{})}, nil
}

func (w *fakeWatcher) Next(ctx context.Context) (*kv.Batch, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		w.f.mu.Lock()
		s := &slab{}
		b := kv.NewBatch(s.poison)
		i, _ := slices.BinarySearchFunc(w.f.log, w.pos+1, func(e kv.Event, rev int64) int { return int(e.Revision - rev) })
		for ; i < len(w.f.log); i++ {
			e := w.f.log[i]
			w.pos = max(w.pos, e.Revision)
			if k := string(e.Key); k < w.start || w.end != "" && k >= w.end {
				continue
			}
			e.Key, e.Value, e.Prev = s.copy(e.Key), s.copy(e.Value), s.copy(e.Prev)
			b.Events = append(b.Events, e)
		}
		if w.progress {
			b.Progress, w.progress = w.f.rev, false
		}
		notify := w.f.notify
		w.f.mu.Unlock()
		if len(b.Events) > 0 || b.Progress > 0 {
			return b, nil
		}
		select {
		case <-notify:
		case <-w.poke:
		case <-ctx.Done():
		case <-w.closed:
			return nil, kv.ErrClosed
		}
	}
}

func (w *fakeWatcher) RequestProgress() {
	w.f.mu.Lock()
	w.progress = true
	w.f.mu.Unlock()
	select {
	case w.poke <- struct{}{}:
	default:
	}
}
func (w *fakeWatcher) Close() { w.once.Do(func() { close(w.closed) }) }

func (f *fakeKV) Compact(ctx context.Context, rev int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.floor = max(f.floor, rev)
	return nil
}
func (f *fakeKV) CurrentRevision(ctx context.Context, _ kv.ResourceID) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rev, ctx.Err()
}
func (f *fakeKV) Check(name string) error {
	if strings.HasPrefix(name, "bad") {
		return fmt.Errorf("bad")
	}
	return nil
}
func (f *fakeKV) Backends() []string          { return []string{"default"} }
func (f *fakeKV) StatsJSON() ([]byte, error)  { return []byte("{}"), nil }
func (f *fakeKV) LayoutJSON() ([]byte, error) { return []byte("{}"), nil }
func (f *fakeKV) Close() error                { return nil }

func newDB(t testing.TB) kv.Store { return newFakeKV() }
