// Package refstore is a kv.Store of the simplest kind: a map in memory and a log
// file that is synced at every write. It is the control of the crash harness: the
// harness must pass on it, and must fail when it is opened with NoSync.
package refstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"sync"
	"syscall"

	"github.com/libstorage/go-shim/kv"
)

// Options of Open.
type Options struct {
	Dir    string
	NoSync bool // acknowledges what may be lost
}

// Store implements kv.Store.
type Store struct {
	options Options
	log     *os.File

	mu      sync.Mutex
	changed chan struct{}   // closed at every commit
	events  []kv.Event      // of this epoch, ascending
	before  map[int64]int64 // by event: the revision that its object had
	objects map[string]kv.KV
	rev     int64
	floor   int64
	size    int64 // of the log
	broken  error // the log is in an unknown state
}

// Open reads the log. Without the file "meta" the revisions start anew, above all
// that were ever used, as a lost metadata store demands.
func Open(options Options) (*Store, error) {
	s := &Store{options: options, rev: 1, changed: make(chan struct{}), objects: map[string]kv.KV{}, before: map[int64]int64{}}
	if err := os.MkdirAll(options.Dir, 0o755); err != nil {
		return nil, err
	}
	var err error
	if s.log, err = os.OpenFile(filepath.Join(options.Dir, "log"), os.O_RDWR|os.O_CREATE, 0o644); err != nil {
		return nil, err
	}
	if err := s.load(); err != nil {
		return nil, err
	}
	if err := s.startEpoch(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Store) startEpoch() error {
	meta := filepath.Join(s.options.Dir, "meta")
	_, err := os.Stat(meta)
	if err == nil {
		return nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if s.rev > 1 {
		s.rev += 1 << 32
		s.floor, s.events = s.rev, nil
		if err := s.append(record{Rev: s.rev, Epoch: true}); err != nil {
			return err
		}
	}
	if err := os.WriteFile(meta, []byte("epoch\n"), 0o644); err != nil {
		return err
	}
	return s.syncDir()
}

func (s *Store) syncDir() error {
	if s.options.NoSync {
		return nil
	}
	dir, err := os.Open(s.options.Dir)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

func fail(code kv.Code, format string, args ...any) *kv.Error {
	return &kv.Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// write commits one record on top of an expected revision.
func (s *Store) write(r record, expected int64) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return 0, fail(kv.CodeUnavailable, "%v", s.broken)
	}
	current, exists := s.objects[r.Key]
	switch {
	case expected > 0 && !exists:
		return 0, fail(kv.CodeNotFound, "no %s", r.Key)
	case expected == 0 && exists, expected > 0 && current.ModRevision != expected:
		err := fail(kv.CodeConflict, "%s is at %d", r.Key, current.ModRevision)
		if expected == 0 {
			err.Code = kv.CodeExists
		}
		err.Current = kv.NewResult(nil)
		err.Current.KVs = []kv.KV{current}
		return 0, err
	}
	r.Rev = s.rev + 1
	if err := s.append(r); err != nil {
		if errors.Is(err, syscall.ENOSPC) && s.broken == nil {
			return 0, fail(kv.CodeNoSpace, "the disk is full: %v", err)
		}
		return 0, fail(kv.CodeOutcomeUnknown, "%v", err)
	}
	s.apply(r)
	close(s.changed)
	s.changed = make(chan struct{})
	return r.Rev, nil
}

// apply a committed record to the memory.
func (s *Store) apply(r record) {
	s.rev = r.Rev
	if r.Epoch {
		s.floor, s.events = r.Rev, nil
		return
	}
	before, existed := s.objects[r.Key]
	event := kv.Event{Revision: r.Rev, Kind: kv.EventUpdate, Key: []byte(r.Key), Value: r.Value, Prev: before.Value}
	switch {
	case r.Delete:
		event.Kind = kv.EventDelete
		delete(s.objects, r.Key)
	default:
		if !existed {
			event.Kind = kv.EventCreate
		}
		s.objects[r.Key] = kv.KV{Key: []byte(r.Key), Value: r.Value, ModRevision: r.Rev}
	}
	s.events = append(s.events, event)
	s.before[r.Rev] = before.ModRevision
}

// Put implements kv.Store.
func (s *Store) Put(_ context.Context, _ kv.ResourceID, key string, value []byte, o kv.PutOptions) (int64, error) {
	return s.write(record{Key: key, Value: value}, o.Expected)
}

// Delete implements kv.Store.
func (s *Store) Delete(_ context.Context, _ kv.ResourceID, key string, expected int64) (int64, error) {
	return s.write(record{Key: key, Delete: true}, expected)
}

// at is the objects of a range at a revision, in key order.
func (s *Store) at(start, end string, o kv.ReadOptions) (*kv.Result, error) {
	result := kv.NewResult(nil)
	result.Revision = s.rev
	objects := s.objects
	if o.Exact && o.Revision != 0 {
		if o.Revision < s.floor {
			err := fail(kv.CodeCompacted, "revision %d is below %d", o.Revision, s.floor)
			err.Floor = s.floor
			return nil, err
		}
		result.Revision = o.Revision
		objects = s.rewind(o.Revision)
	}
	if o.Revision > s.rev {
		return nil, fail(kv.CodeFutureRevision, "revision %d is above %d", o.Revision, s.rev)
	}
	for key, object := range objects {
		if key >= start && (end == "" || key < end) {
			result.KVs = append(result.KVs, object)
		}
	}
	sort.Slice(result.KVs, func(i, j int) bool { return string(result.KVs[i].Key) < string(result.KVs[j].Key) })
	if o.Limit > 0 && int64(len(result.KVs)) > o.Limit {
		result.KVs, result.More = result.KVs[:o.Limit], true
	}
	return result, nil
}

// rewind plays the events above rev back.
func (s *Store) rewind(rev int64) map[string]kv.KV {
	objects := make(map[string]kv.KV, len(s.objects))
	for key, object := range s.objects {
		objects[key] = object
	}
	for i := len(s.events) - 1; i >= 0 && s.events[i].Revision > rev; i-- {
		event := s.events[i]
		if event.Kind == kv.EventCreate {
			delete(objects, string(event.Key))
			continue
		}
		objects[string(event.Key)] = kv.KV{Key: event.Key, Value: event.Prev, ModRevision: s.before[event.Revision]}
	}
	return objects
}

// Get implements kv.Store.
func (s *Store) Get(_ context.Context, _ kv.ResourceID, key string, o kv.ReadOptions) (*kv.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	result, err := s.at(key, key+"\x00", o)
	if err == nil && len(result.KVs) == 0 {
		missing := fail(kv.CodeNotFound, "no %s", key)
		missing.Revision = result.Revision
		return nil, missing
	}
	return result, err
}

// List implements kv.Store.
func (s *Store) List(_ context.Context, _ kv.ResourceID, start, end string, o kv.ReadOptions) (*kv.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at(start, end, o)
}

// Compact implements kv.Store.
func (s *Store) Compact(_ context.Context, rev int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.floor = max(s.floor, min(rev, s.rev))
	return nil
}
