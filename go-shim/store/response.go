package store

import (
	"reflect"

	"k8s.io/apimachinery/pkg/runtime"
)

// response is the object that a write answers with. If somebody watches, it is
// decoded before the write, so that the event is ready, decoded once for the
// writer and all watches, when they learn of it.
type response struct {
	rev   int64 // of the write
	side  side
	early runtime.Object // shared with the watches once published: read only
}

// prepare decodes data if somebody watches. A failure is left to fill.
func (r *response) prepare(s *Store, data []byte, side side, key string) {
	r.side, r.early = side, nil
	if data == nil || !s.watches.any() {
		return
	}
	if obj, err := s.decode(data, nil, 0, key); err == nil {
		r.early = obj
	}
}

// publish gives the object to the watches.
func (r *response) publish(s *Store, data []byte) {
	if r.early == nil {
		return
	}
	if s.versioner.UpdateObject(r.early, uint64(r.rev)) != nil {
		r.early = nil
		return
	}
	s.decoded.publish(r.rev, r.side, r.early, len(data))
}

// fill sets out, unless it is nil, to the object in data.
func (r *response) fill(s *Store, out runtime.Object, data []byte, key string) error {
	if out == nil || r.early != nil && copyInto(r.early, out) {
		return nil
	}
	return s.decodeInto(data, out, r.rev, key)
}

// copyInto sets *out to a deep copy of obj if they have one type.
func copyInto(obj, out runtime.Object) bool {
	to := reflect.ValueOf(out)
	if to.Kind() != reflect.Pointer || to.IsNil() || to.Type() != reflect.TypeOf(obj) {
		return false
	}
	to.Elem().Set(reflect.ValueOf(obj.DeepCopyObject()).Elem())
	return true
}
