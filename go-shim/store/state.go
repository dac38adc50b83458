package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/klog/v2"

	"github.com/libstorage/go-shim/kv"
)

// state is what a read-modify-write believes the object to be.
type state struct {
	obj     runtime.Object
	rev     int64 // 0: there is none
	data    []byte
	stale   bool // the transformer wants it rewritten
	current bool // read from the store, not suggested by the caller

	result *kv.Result    // owns data, or
	buffer *bytes.Buffer // does
}

// release gives back the memory of data. A released state is empty.
func (st *state) release() {
	st.result.Release()
	putBuffer(st.buffer)
	*st = state{}
}

// stored is the value as the store has it; of a suggestion, what it would be
// without a transformer.
func (st *state) stored() []byte {
	if st.result != nil {
		return st.result.KVs[0].Value
	}
	return st.data
}

// target is one object as the operations of a read-modify-write see it.
type target struct {
	s   *Store
	key string
	// value is the type of the object, from the caller's output pointer.
	value          reflect.Value
	ignoreNotFound bool
	opaque         bool // leave it encoded: it may be unreadable
}

// newObject is an empty object of the target's type.
func (t *target) newObject() runtime.Object {
	if u, ok := t.value.Addr().Interface().(runtime.Unstructured); ok {
		return u.NewEmptyInstance()
	}
	return reflect.New(t.value.Type()).Interface().(runtime.Object)
}

// read replaces st by what the store holds.
func (t *target) read(ctx context.Context, st *state) error {
	st.release()
	start := time.Now()
	result, err := t.s.kv.Get(ctx, t.s.id, t.key, kv.ReadOptions{})
	absent := hasCode(err, kv.CodeNotFound)
	if absent {
		err = nil
	}
	t.s.observe(ctx, "get", err, start)
	if err != nil {
		return t.s.apiError(err, t.key, 0)
	}
	if absent {
		result = nil
	}
	return t.load(ctx, st, result)
}

// load makes result, nil for no object, the state. It owns result from now on.
func (t *target) load(ctx context.Context, st *state, result *kv.Result) error {
	st.release()
	st.current = true
	if result == nil {
		if !t.ignoreNotFound {
			return storage.NewKeyNotFoundError(t.key, 0)
		}
		st.obj = t.newObject()
		return runtime.SetZeroValue(st.obj)
	}
	st.result = result
	row := &result.KVs[0]
	st.rev = row.ModRevision
	if t.opaque {
		st.stale = true
		return nil
	}
	data, stale, err := t.s.fromStorage(ctx, row.Value, t.key)
	if err != nil {
		return storage.NewInternalError(err)
	}
	st.data, st.stale, st.obj = data, stale, t.newObject()
	return t.s.decodeInto(data, st.obj, st.rev, t.key)
}

// suggest makes the caller's idea of the object the state.
func (t *target) suggest(st *state, obj runtime.Object) error {
	rev, err := t.s.versioner.ObjectResourceVersion(obj)
	if err != nil {
		return fmt.Errorf("couldn't get resource version: %v", err)
	}
	// What is stored has no resource version; put it back after encoding.
	if err := t.s.versioner.PrepareObjectForStorage(obj); err != nil {
		return fmt.Errorf("PrepareObjectForStorage failed: %v", err)
	}
	buffer, err := t.s.encode(obj)
	if err != nil {
		return err
	}
	*st = state{obj: obj, rev: int64(rev), data: buffer.Bytes(), buffer: buffer}
	if err := t.s.versioner.UpdateObject(obj, rev); err != nil {
		klog.ErrorS(err, "Failed to set the resource version", "resource", t.s.label, "key", t.key)
	}
	return nil
}

// start fills st from the suggestion, or from the store without one.
func (t *target) start(ctx context.Context, st *state, suggestion runtime.Object) error {
	if suggestion == nil {
		return t.read(ctx, st)
	}
	return t.suggest(st, suggestion)
}

// errRetry tells a loop to begin again with the new state.
var errRetry = errors.New("retry")

// reconsider decides what an error of the caller's code means. On the current
// object it stands. On a suggestion it may be due to that being old: the state
// becomes the current one, and the result is errRetry if that differs.
func (t *target) reconsider(ctx context.Context, st *state, cause error) error {
	if st.current {
		return cause
	}
	suggested := st.rev
	if err := t.read(ctx, st); err != nil {
		return err
	}
	if st.rev == suggested {
		return cause
	}
	return errRetry
}

// lost makes the winner of a lost compare the state; other errors it maps.
func (t *target) lost(ctx context.Context, st *state, err error) error {
	result, ok := currentOf(err)
	if !ok {
		releaseError(err)
		return t.s.apiError(err, t.key, 0)
	}
	klog.V(4).InfoS("A write lost its compare and tries again", "resource", t.s.label, "key", t.key)
	return t.load(ctx, st, result)
}
