package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage"
)

// deletion is a Delete under way.
type deletion struct {
	target
	preconditions *storage.Preconditions
	validate      storage.ValidateObjectFunc
	out           runtime.Object
}

// Delete implements storage.Interface.
func (s *Store) Delete(
	ctx context.Context, key string, out runtime.Object, preconditions *storage.Preconditions,
	validateDeletion storage.ValidateObjectFunc, suggestion runtime.Object, opts storage.DeleteOptions) error {
	key, err := s.prepareKey(key)
	if err != nil {
		return err
	}
	v, err := conversion.EnforcePtr(out)
	if err != nil {
		return fmt.Errorf("unable to convert output object to pointer: %v", err)
	}
	d := deletion{
		target:        target{s: s, key: key, value: v, opaque: s.unsafeDelete && opts.IgnoreStoreReadError},
		preconditions: preconditions, validate: validateDeletion, out: out,
	}
	var st state
	defer st.release()
	err = d.start(ctx, &st, suggestion)
	if err != nil {
		return err
	}
	for {
		err := d.attempt(ctx, &st)
		if !errors.Is(err, errRetry) {
			return err
		}
	}
}

// attempt does one round; errRetry asks for another one with the new state.
func (d *deletion) attempt(ctx context.Context, st *state) error {
	if err := d.preconditions.Check(d.key, st.obj); err != nil {
		return d.reconsider(ctx, st, err)
	}
	if err := d.validate(ctx, st.obj); err != nil {
		return d.reconsider(ctx, st, err)
	}
	if st.rev == 0 { // a suggestion that does not say of which revision it is
		if err := d.read(ctx, st); err != nil {
			return err
		}
		return errRetry
	}
	// Nothing was asked of the database yet: the caller's own error, as etcd's client gives it.
	if err := ctx.Err(); errors.Is(err, context.Canceled) {
		return err
	}
	var r response
	r.announce(d.s, d.key, sideOld, st.stored(), st.data)
	start := time.Now()
	rev, err := d.s.kv.Delete(ctx, d.s.id, d.key, st.rev)
	d.s.observe(ctx, "delete", failure(err), start)
	r.settle(d.s, rev)
	if err != nil {
		if err := d.lost(ctx, st, err); err != nil {
			return err
		}
		return errRetry
	}
	if d.opaque {
		return nil
	}
	// The last stored object, at the revision of its deletion.
	if st.current && r.adopt(d.s, d.out, st.obj) {
		return nil
	}
	return r.fill(d.s, d.out, st.data, d.key)
}
