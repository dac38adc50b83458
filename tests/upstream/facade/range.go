package facade

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/libstorage/go-shim/kv"
)

type (
	rangeRequest  = etcdserverpb.RangeRequest
	rangeResponse = etcdserverpb.RangeResponse
)

// Range implements etcdserverpb.KVServer.
func (f *facade) Range(ctx context.Context, r *rangeRequest) (*rangeResponse, error) {
	answer, err := f.read(ctx, r)
	return answer, grpcError(err)
}

func (f *facade) read(ctx context.Context, r *rangeRequest) (*rangeResponse, error) {
	if len(r.Key) == 0 {
		return nil, rpctypes.ErrGRPCEmptyKey
	}
	answer := &rangeResponse{Header: &etcdserverpb.ResponseHeader{Revision: 1}}
	var err error
	if len(r.RangeEnd) == 0 {
		err = f.with(f.rootOf(string(r.Key)), func(d *database) error { return d.get(ctx, r, answer) })
	} else {
		start, end := limits(r.Key, r.RangeEnd)
		for _, root := range f.rootsIn(start, end) {
			if err = f.with(root, func(d *database) error { return d.list(ctx, r, start, end, answer) }); err != nil {
				break
			}
		}
	}
	if err != nil {
		return nil, err
	}
	return answer, shape(r, answer)
}

// limits of a range: etcd writes 0 for "no end".
func limits(key, end []byte) (string, string) {
	if bytes.Equal(end, []byte{0}) {
		return string(key), ""
	}
	return string(key), string(end)
}

func (d *database) get(ctx context.Context, r *rangeRequest, answer *rangeResponse) error {
	result, err := d.store.Get(ctx, d.all, string(r.Key), kv.ReadOptions{Revision: r.Revision, Exact: r.Revision > 0})
	var e *kv.Error
	if errors.As(err, &e) && e.Code == kv.CodeNotFound {
		answer.Header.Revision = max(answer.Header.Revision, e.Revision)
		return nil
	}
	if err != nil {
		return err
	}
	return d.take(ctx, result, answer)
}

// list reads all that is in the range: upstream's tests have few keys.
func (d *database) list(ctx context.Context, r *rangeRequest, start, end string, answer *rangeResponse) error {
	start, end = d.below(start, end)
	options := kv.ReadOptions{Revision: r.Revision, Exact: r.Revision > 0}
	for {
		result, err := d.store.List(ctx, d.all, start, end, options)
		if err != nil {
			return err
		}
		more, at := result.More, result.Revision
		if n := len(result.KVs); n > 0 {
			start = string(result.KVs[n-1].Key) + "\x00"
		}
		if err := d.take(ctx, result, answer); err != nil || !more {
			return err
		}
		options.Revision, options.Exact = at, true // all pages of one moment
	}
}

// below cuts a range to the keys of the database.
func (d *database) below(start, end string) (string, string) {
	after := d.root[:len(d.root)-1] + "0"
	if end == "" || after < end {
		end = after
	}
	return max(start, d.root), end
}

// take copies a result into the answer and releases it. The revision of the answer
// is the current one, also when the read was of an older one.
func (d *database) take(ctx context.Context, result *kv.Result, answer *rangeResponse) error {
	defer result.Release()
	for _, one := range result.KVs {
		version := int64(1)
		if one.ModRevision != one.CreateRevision {
			version = 2
		}
		answer.Kvs = append(answer.Kvs, &mvccpb.KeyValue{Key: bytes.Clone(one.Key), Value: bytes.Clone(one.Value),
			ModRevision: one.ModRevision, CreateRevision: one.CreateRevision, Version: version})
	}
	current, err := d.store.CurrentRevision(ctx, d.all)
	answer.Header.Revision = max(answer.Header.Revision, current)
	return err
}

// shape does what the request asks beside the keys: bounds, order, limit, parts.
func shape(r *rangeRequest, answer *rangeResponse) error {
	within := func(n, low, high int64) bool { return n >= low && (high == 0 || n <= high) }
	answer.Kvs = slices.DeleteFunc(answer.Kvs, func(one *mvccpb.KeyValue) bool {
		return !within(one.ModRevision, r.MinModRevision, r.MaxModRevision) ||
			!within(one.CreateRevision, r.MinCreateRevision, r.MaxCreateRevision)
	})
	answer.Count = int64(len(answer.Kvs))
	if err := order(r, answer.Kvs); err != nil {
		return err
	}
	if r.CountOnly {
		answer.Kvs = nil
	}
	if r.Limit > 0 && int64(len(answer.Kvs)) > r.Limit {
		answer.Kvs, answer.More = answer.Kvs[:r.Limit], true
	}
	for _, one := range answer.Kvs {
		if r.KeysOnly {
			one.Value = nil
		}
	}
	return nil
}

func order(r *rangeRequest, kvs []*mvccpb.KeyValue) error {
	var compare func(a, b *mvccpb.KeyValue) int
	switch r.SortTarget {
	case etcdserverpb.RangeRequest_KEY:
		compare = func(a, b *mvccpb.KeyValue) int { return bytes.Compare(a.Key, b.Key) }
	case etcdserverpb.RangeRequest_MOD:
		compare = func(a, b *mvccpb.KeyValue) int { return cmp.Compare(a.ModRevision, b.ModRevision) }
	case etcdserverpb.RangeRequest_CREATE:
		compare = func(a, b *mvccpb.KeyValue) int { return cmp.Compare(a.CreateRevision, b.CreateRevision) }
	case etcdserverpb.RangeRequest_VALUE:
		compare = func(a, b *mvccpb.KeyValue) int { return bytes.Compare(a.Value, b.Value) }
	default:
		return unimplemented("a range sorted by version", "how often a key was written is not stored")
	}
	slices.SortStableFunc(kvs, compare)
	if r.SortOrder == etcdserverpb.RangeRequest_DESCEND {
		slices.Reverse(kvs)
	}
	return nil
}
