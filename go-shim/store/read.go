package store

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage"

	"github.com/libstorage/go-shim/kv"
)

// Get implements storage.Interface.
func (s *Store) Get(ctx context.Context, key string, opts storage.GetOptions, out runtime.Object) error {
	key, err := s.prepareKey(key)
	if err != nil {
		return err
	}
	minimum, err := s.minimumRevision(opts.ResourceVersion)
	if err != nil {
		return err
	}
	result, err := s.get(ctx, key, kv.ReadOptions{Revision: minimum})
	if err != nil {
		return s.apiError(err, key, minimum)
	}
	defer result.Release()
	if err := atLeast(minimum, result.Revision); err != nil {
		return err
	}
	if len(result.KVs) == 0 {
		if opts.IgnoreNotFound {
			return runtime.SetZeroValue(out)
		}
		return storage.NewKeyNotFoundError(key, 0)
	}
	row := &result.KVs[0]
	data, _, err := s.fromStorage(ctx, row.Value, key)
	if err != nil {
		return corruptObject(key, storage.NewInternalError(err))
	}
	return corruptObject(key, s.decodeInto(data, out, row.ModRevision, key))
}

// get reads one key. A key without an object is a result without rows.
func (s *Store) get(ctx context.Context, key string, opts kv.ReadOptions) (*kv.Result, error) {
	start := time.Now()
	result, err := s.kv.Get(ctx, s.id, key, opts)
	if e, ok := err.(*kv.Error); ok && e.Code == kv.CodeNotFound {
		result, err = kv.NewResult(nil), nil
		result.Revision = e.Revision
	}
	s.observe(ctx, "get", err, start)
	return result, err
}

// minimumRevision parses the resource version of a read; "" and "0" are 0.
func (s *Store) minimumRevision(resourceVersion string) (int64, error) {
	rev, err := s.versioner.ParseResourceVersion(resourceVersion)
	if err != nil {
		return 0, apierrors.NewBadRequest(fmt.Sprintf("invalid resource version: %v", err))
	}
	return int64(rev), nil
}

// atLeast is the promise of a minimum revision.
func atLeast(minimum, actual int64) error {
	if minimum > actual {
		return storage.NewTooLargeResourceVersionError(uint64(minimum), uint64(actual), 0)
	}
	return nil
}
