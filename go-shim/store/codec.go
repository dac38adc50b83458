package store

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
	endpointsrequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/etcd3/metrics"
	"k8s.io/klog/v2"
)

// dataContext binds a stored value to its key: a ciphertext that was moved to
// another key does not decrypt there.
type dataContext string

// AuthenticatedData implements value.Context.
func (d dataContext) AuthenticatedData() []byte { return []byte(d) }

// buffers holds encode buffers. An encoded object is copied by kv.Put, and its
// decoding copies what it keeps, so the buffer is free when the write returns.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

const maxPooledBuffer = 256 << 10

func putBuffer(b *bytes.Buffer) {
	if b != nil && b.Cap() <= maxPooledBuffer {
		b.Reset()
		buffers.Put(b)
	}
}

// encode returns the serialized object in a buffer for putBuffer.
func (s *Store) encode(obj runtime.Object) (*bytes.Buffer, error) {
	b := buffers.Get().(*bytes.Buffer)
	if err := s.encodeTo(obj, b); err != nil {
		putBuffer(b)
		return nil, err
	}
	return b, nil
}

// encodeTo spares the encoder's own memory where it can be reused.
func (s *Store) encodeTo(obj runtime.Object, b *bytes.Buffer) error {
	encoder, ok := s.codec.(runtime.EncoderWithAllocator)
	if !ok {
		return s.codec.Encode(obj, b)
	}
	memory := runtime.AllocatorPool.Get().(*runtime.Allocator)
	defer runtime.AllocatorPool.Put(memory)
	return encoder.EncodeWithAllocator(obj, b, memory)
}

// decodeInto decodes data into out, a pointer, and sets its revision.
func (s *Store) decodeInto(data []byte, out runtime.Object, rev int64, key string) error {
	if _, err := conversion.EnforcePtr(out); err != nil {
		return fmt.Errorf("unable to convert output object to pointer: %v", err)
	}
	_, err := s.decode(data, out, rev, key)
	return err
}

// decode decodes data, which stays the caller's, and sets the revision. The
// object is into unless that is nil.
func (s *Store) decode(data []byte, into runtime.Object, rev int64, key string) (runtime.Object, error) {
	obj, _, err := s.codec.Decode(data, nil, into)
	if err != nil {
		metrics.RecordDecodeError(s.label)
		klog.V(4).InfoS("Decoding a stored object failed", "resource", s.label, "key", key, "err", err)
		return nil, s.undecodable(err, rev)
	}
	if unknown, ok := obj.(*runtime.Unknown); ok {
		unknown.Raw = bytes.Clone(unknown.Raw) // the one kind of object that keeps its input
	}
	if err := s.versioner.UpdateObject(obj, uint64(rev)); err != nil {
		// An object without metadata is still an object.
		klog.ErrorS(err, "Failed to set the resource version", "resource", s.label, "key", key)
	}
	return obj, nil
}

// fromStorage undoes the transformer. The result may be a view into data.
func (s *Store) fromStorage(ctx context.Context, data []byte, key string) ([]byte, bool, error) {
	out, stale, err := s.transformer.TransformFromStorage(ctx, data, dataContext(key))
	if err != nil {
		return nil, false, s.untransformable(err)
	}
	return out, stale, nil
}

func (s *Store) toStorage(ctx context.Context, data []byte, key string) ([]byte, error) {
	out, err := s.transformer.TransformToStorage(ctx, data, dataContext(key))
	if err != nil {
		return nil, storage.NewInternalError(err)
	}
	return out, nil
}

// observe records one call of the key-value store that began at start.
func (s *Store) observe(ctx context.Context, operation string, err error, start time.Time) {
	metrics.RecordEtcdRequest(operation, s.label, err, start)
	endpointsrequest.TrackStorageLatency(ctx, time.Since(start))
}
