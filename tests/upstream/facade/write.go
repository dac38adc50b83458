package facade

import (
	"context"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/libstorage/go-shim/kv"
)

type (
	putRequest     = etcdserverpb.PutRequest
	putResponse    = etcdserverpb.PutResponse
	deleteRequest  = etcdserverpb.DeleteRangeRequest
	deleteResponse = etcdserverpb.DeleteRangeResponse
)

// Put implements etcdserverpb.KVServer.
func (f *facade) Put(ctx context.Context, r *putRequest) (*putResponse, error) {
	var answer *putResponse
	for {
		expected, before, err := f.before(ctx, r)
		if err != nil {
			return nil, grpcError(err)
		}
		answer, err = f.write(ctx, r, expected)
		if expected != kv.AnyRevision && conflict(err) {
			continue // somebody wrote in between
		}
		if err != nil {
			return nil, grpcError(err)
		}
		answer.PrevKv = before
		return answer, nil
	}
}

// before is what a put that asks for it replaces, and the revision by which it does.
func (f *facade) before(ctx context.Context, r *putRequest) (int64, *mvccpb.KeyValue, error) {
	if !r.PrevKv {
		return kv.AnyRevision, nil, nil
	}
	now, err := f.read(ctx, &rangeRequest{Key: r.Key})
	if err != nil || len(now.Kvs) == 0 {
		return 0, nil, err
	}
	return now.Kvs[0].ModRevision, now.Kvs[0], nil
}

func (f *facade) write(ctx context.Context, r *putRequest, expected int64) (*putResponse, error) {
	switch {
	case len(r.Key) == 0:
		return nil, rpctypes.ErrGRPCEmptyKey
	case r.Lease != 0 || r.IgnoreLease:
		return nil, unimplemented("a put with a lease", reasons["etcdserverpb.Lease"])
	case r.IgnoreValue:
		return nil, unimplemented("a put that keeps the value", "upstream's tests do not ask for it")
	}
	answer := &putResponse{Header: &etcdserverpb.ResponseHeader{}}
	err := f.with(f.rootOf(string(r.Key)), func(d *database) (err error) {
		answer.Header.Revision, err = d.put(ctx, string(r.Key), r.Value, expected)
		return err
	})
	return answer, err
}

// DeleteRange implements etcdserverpb.KVServer.
func (f *facade) DeleteRange(ctx context.Context, r *deleteRequest) (*deleteResponse, error) {
	there, err := f.read(ctx, &rangeRequest{Key: r.Key, RangeEnd: r.RangeEnd})
	if err != nil {
		return nil, grpcError(err)
	}
	answer := &deleteResponse{Header: there.Header}
	for _, one := range there.Kvs {
		err := f.with(f.rootOf(string(one.Key)), func(d *database) error {
			revision, found, err := d.remove(ctx, string(one.Key), kv.AnyRevision)
			if found {
				answer.Deleted++
				answer.Header.Revision = max(answer.Header.Revision, revision)
			}
			return err
		})
		if err != nil {
			return nil, grpcError(err)
		}
		if r.PrevKv {
			answer.PrevKvs = append(answer.PrevKvs, one)
		}
	}
	return answer, nil
}

// Compact implements etcdserverpb.KVServer.
func (f *facade) Compact(ctx context.Context, r *etcdserverpb.CompactionRequest) (*etcdserverpb.CompactionResponse, error) {
	answer := &etcdserverpb.CompactionResponse{Header: &etcdserverpb.ResponseHeader{}}
	reached := false
	for _, root := range f.databases.Roots() {
		err := f.with(root, func(d *database) error {
			now, err := d.store.CurrentRevision(ctx, d.all)
			answer.Header.Revision = max(answer.Header.Revision, now)
			if err != nil || now < r.Revision {
				return err
			}
			reached = true
			return d.store.Compact(ctx, r.Revision)
		})
		if err != nil {
			return nil, grpcError(err)
		}
	}
	if !reached {
		return nil, rpctypes.ErrGRPCFutureRev
	}
	return answer, nil
}
