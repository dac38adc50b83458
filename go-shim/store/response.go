package store

import (
	"reflect"

	"k8s.io/apimachinery/pkg/runtime"
)

// response is the object that a write answers with. If somebody watches, it is
// decoded before the write and announced: it is then decoded once for the writer
// and all watches, whoever is first to learn that it was written.
type response struct {
	rev       int64 // of the write
	announced *announcement
	prepared  runtime.Object // decoded already, but for its revision
}

// announce decodes data, which is stored as value, if somebody watches. A failure
// is left to fill.
func (r *response) announce(s *Store, key string, side side, value, data []byte) {
	if data == nil || !s.watches.any() {
		return
	}
	if obj, err := s.decode(data, nil, 0, key); err == nil {
		r.announced = s.decoded.announce(key, side, value, obj)
	}
}

// settle says what became of the write: its revision, 0 for nothing.
func (r *response) settle(s *Store, rev int64) {
	r.rev = rev
	if rev == 0 && r.prepared != nil {
		_ = runtime.SetZeroValue(r.prepared) // a pointer, or it would not have been decoded
		r.prepared = nil
	}
	if r.announced != nil && !s.decoded.settle(r.announced, rev) {
		r.announced = nil
	}
}

// prepare decodes data to out while the write is under way, if nothing better is
// there. A failure is left to fill; when nothing was written, out is empty again.
func (r *response) prepare(s *Store, out runtime.Object, data []byte, key string) {
	if out == nil || r.announced != nil {
		return
	}
	if err := s.decodeInto(data, out, 0, key); err == nil {
		r.prepared = out
	}
}

// adopt makes obj, which nobody else holds, the answer. False: it is of another type.
func (r *response) adopt(s *Store, out, obj runtime.Object) bool {
	to := reflect.ValueOf(out)
	if out == nil || to.Type() != reflect.TypeOf(obj) || s.versioner.UpdateObject(obj, uint64(r.rev)) != nil {
		return false
	}
	to.Elem().Set(reflect.ValueOf(obj).Elem())
	return true
}

// fill sets out, unless it is nil, to the object in data.
func (r *response) fill(s *Store, out runtime.Object, data []byte, key string) error {
	if out == nil || r.announced != nil && copyInto(r.announced.obj, out) {
		return nil
	}
	if r.prepared != nil && s.versioner.UpdateObject(out, uint64(r.rev)) == nil {
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
