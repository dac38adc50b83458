package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage"
)

// update is a GuaranteedUpdate under way.
type update struct {
	target
	preconditions *storage.Preconditions
	tryUpdate     storage.UpdateFunc
	destination   runtime.Object
	leave         func() // ends the turn, nil without one
}

// GuaranteedUpdate implements storage.Interface.
func (s *Store) GuaranteedUpdate(
	ctx context.Context, key string, destination runtime.Object, ignoreNotFound bool,
	preconditions *storage.Preconditions, tryUpdate storage.UpdateFunc, suggestion runtime.Object) error {
	key, err := s.prepareKey(key)
	if err != nil {
		return err
	}
	ctx, span := s.trace(ctx, "GuaranteedUpdate libstorage", key, destination)
	defer span.End(slowOperation)
	v, err := conversion.EnforcePtr(destination)
	if err != nil {
		return fmt.Errorf("unable to convert output object to pointer: %v", err)
	}

	u := update{
		target:        target{s: s, key: key, value: v, ignoreNotFound: ignoreNotFound},
		preconditions: preconditions, tryUpdate: tryUpdate, destination: destination,
	}
	defer u.endTurn()
	var st state
	defer st.release()
	if s.turns.taken(key) {
		u.takeTurn(ctx)
	}
	err = u.start(ctx, &st, suggestion)
	if err != nil {
		return err
	}
	span.AddEvent("initial value restored")
	for {
		err := u.attempt(ctx, &st)
		if !errors.Is(err, errRetry) {
			return err
		}
		span.AddEvent("retry with the current value")
	}
}

// attempt does one round; errRetry asks for another one with the new state.
func (u *update) attempt(ctx context.Context, st *state) error {
	if err := u.preconditions.Check(u.key, st.obj); err != nil {
		if st.current {
			return err
		}
		if err := u.read(ctx, st); err != nil {
			return err
		}
		return errRetry
	}
	obj, ttl, err := u.apply(st)
	if err != nil {
		return u.reconsider(ctx, st, err)
	}
	buffer, err := u.s.encode(obj)
	if err != nil {
		return err
	}
	defer putBuffer(buffer)
	data := buffer.Bytes()
	if same, err := u.unchanged(ctx, st, data); same || err != nil {
		return err
	}
	w := write{s: u.s, key: u.key, operation: "update", obj: obj, data: data, expected: st.rev, ttl: ttl}
	if err := w.put(ctx, u.destination); err != nil {
		return u.retry(ctx, st, err)
	}
	return w.fill(u.s, u.destination, data, u.key)
}

// apply calls the caller's function.
func (u *update) apply(st *state) (runtime.Object, uint64, error) {
	obj, ttl, err := u.tryUpdate(st.obj, storage.ResponseMeta{ResourceVersion: uint64(st.rev)})
	if err != nil {
		return nil, 0, err
	}
	if err := u.s.versioner.PrepareObjectForStorage(obj); err != nil {
		return nil, 0, fmt.Errorf("PrepareObjectForStorage failed: %v", err)
	}
	if ttl == nil {
		// As etcd3 does: the expiry is dropped, not kept. ResponseMeta.TTL is never
		// filled either, so a registry that wants an expiry always says so.
		return obj, 0, nil
	}
	return obj, *ttl, nil
}

// unchanged tells whether data is what is stored already, and then answers with
// it. A suggestion that is equal to data proves nothing: the store decides.
func (u *update) unchanged(ctx context.Context, st *state, data []byte) (bool, error) {
	if st.stale || !bytes.Equal(data, st.data) {
		return false, nil
	}
	if !st.current {
		if err := u.read(ctx, st); err != nil {
			return false, err
		}
		if !bytes.Equal(data, st.data) {
			return false, errRetry
		}
		if st.stale {
			return false, nil
		}
	}
	return true, u.s.decodeInto(st.data, u.destination, st.rev, u.key)
}

// retry makes what beat this update the new state, in turn with the others that
// were beaten: on a hot key each would otherwise lose most of its rounds.
func (u *update) retry(ctx context.Context, st *state, cause error) error {
	if _, ok := currentOf(cause); ok && u.leave == nil && u.takeTurn(ctx) {
		releaseError(cause) // old by now
		if err := u.read(ctx, st); err != nil {
			return err
		}
		return errRetry
	}
	if err := u.lost(ctx, st, cause); err != nil {
		return err
	}
	return errRetry
}

// takeTurn queues for the key and tells whether that took time.
func (u *update) takeTurn(ctx context.Context) (waited bool) {
	u.leave, waited = u.s.turns.take(ctx, u.key)
	return waited
}

func (u *update) endTurn() {
	if u.leave != nil {
		u.leave()
	}
}
