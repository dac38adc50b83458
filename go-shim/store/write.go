package store

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/component-base/tracing"

	"github.com/libstorage/go-shim/kv"
)

// slowOperation is when an operation's trace is logged.
const slowOperation = 500 * time.Millisecond

func (s *Store) trace(ctx context.Context, name, key string, obj runtime.Object) (context.Context, *tracing.Span) {
	return tracing.Start(ctx, name,
		attribute.String("audit-id", audit.GetAuditIDTruncated(ctx)),
		attribute.String("key", key),
		attribute.String("type", typeName(obj)),
		attribute.String("resource", s.label))
}

func typeName(obj runtime.Object) string {
	if obj == nil {
		return "<nil>"
	}
	return reflect.TypeOf(obj).String()
}

// Create implements storage.Interface.
func (s *Store) Create(ctx context.Context, key string, obj, out runtime.Object, ttl uint64) error {
	key, err := s.prepareKey(key)
	if err != nil {
		return err
	}
	ctx, span := s.trace(ctx, "Create libstorage", key, obj)
	defer span.End(slowOperation)
	if rev, err := s.versioner.ObjectResourceVersion(obj); err == nil && rev != 0 {
		return storage.ErrResourceVersionSetOnCreate
	}
	if err := s.versioner.PrepareObjectForStorage(obj); err != nil {
		return fmt.Errorf("PrepareObjectForStorage failed: %v", err)
	}
	buffer, err := s.encode(obj)
	if err != nil {
		return err
	}
	defer putBuffer(buffer)
	span.AddEvent("Encoded")

	w := write{s: s, key: key, operation: "create", obj: obj, data: buffer.Bytes(), ttl: ttl}
	if err := w.put(ctx, out); err != nil {
		releaseError(err)
		return s.apiError(err, key, 0)
	}
	span.AddEvent("Committed")
	return w.fill(s, out, w.data, key)
}

// write is one object on its way into the store.
type write struct {
	s         *Store
	key       string
	operation string // in metrics
	obj       runtime.Object
	data      []byte // obj, encoded
	expected  int64
	ttl       uint64 // seconds
	response
}

// put transforms and writes the object, and decodes the answer to out in the
// meantime. The error is for apiError.
func (w *write) put(ctx context.Context, out runtime.Object) error {
	s := w.s
	value, err := s.toStorage(ctx, w.data, w.key)
	if err != nil {
		return err
	}
	attrs := s.attributes(w.obj, value)
	defer attrs.put()
	w.announce(s, w.key, sideNew, value, w.data)
	start := time.Now()
	rev, err := s.kv.Put(ctx, s.id, w.key, value, kv.PutOptions{
		Expected: w.expected, TTLMillis: int64(w.ttl) * 1000, Attrs: attrs.data(),
		Meanwhile: func() { w.prepare(s, out, w.data, w.key) },
	})
	s.observe(ctx, w.operation, failure(err), start)
	w.settle(s, rev)
	return err
}

// failure is err unless it is an answer: a lost compare is one.
func failure(err error) error {
	if e, ok := err.(*kv.Error); ok && (e.Code == kv.CodeExists || e.Code == kv.CodeConflict || e.Code == kv.CodeNotFound) {
		return nil
	}
	return err
}
