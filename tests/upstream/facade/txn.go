package facade

import (
	"bytes"
	"cmp"
	"context"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
)

type (
	txnRequest  = etcdserverpb.TxnRequest
	txnResponse = etcdserverpb.TxnResponse
)

// Txn implements etcdserverpb.KVServer for transactions of one key, as Kubernetes
// writes them: compare, then put, delete or get. It repeats when somebody wrote the
// key between the comparison and the write.
func (f *facade) Txn(ctx context.Context, r *txnRequest) (*txnResponse, error) {
	key, err := keyOf(r)
	if err != nil {
		return nil, err
	}
	for {
		answer, again, err := f.try(ctx, r, key)
		if !again {
			return answer, grpcError(err)
		}
	}
}

const otherTxn = "our databases compare and write one key at a time, as Kubernetes does"

// keyOf refuses what is about several keys, or writes twice.
func keyOf(r *txnRequest) (key []byte, err error) {
	same := func(other []byte, end []byte) {
		if len(end) > 0 || key != nil && !bytes.Equal(key, other) {
			err = unimplemented("a transaction over several keys", otherTxn)
		}
		key = other
	}
	for _, c := range r.Compare {
		same(c.Key, c.RangeEnd)
	}
	for _, ops := range [][]*etcdserverpb.RequestOp{r.Success, r.Failure} {
		writes := 0
		for _, op := range ops {
			switch {
			case op.GetRequestRange() != nil:
				same(op.GetRequestRange().Key, op.GetRequestRange().RangeEnd)
			case op.GetRequestPut() != nil:
				same(op.GetRequestPut().Key, nil)
				writes++
			case op.GetRequestDeleteRange() != nil:
				same(op.GetRequestDeleteRange().Key, op.GetRequestDeleteRange().RangeEnd)
				writes++
			default:
				err = unimplemented("a transaction in a transaction", otherTxn)
			}
		}
		if writes > 1 && err == nil {
			err = unimplemented("a transaction with two writes", otherTxn)
		}
	}
	return key, err
}

func (f *facade) try(ctx context.Context, r *txnRequest, key []byte) (answer *txnResponse, again bool, err error) {
	now, err := f.read(ctx, &rangeRequest{Key: key})
	if err != nil {
		return nil, false, err
	}
	current := &mvccpb.KeyValue{Key: key}
	if len(now.Kvs) > 0 {
		current = now.Kvs[0]
	}
	answer = &txnResponse{Header: now.Header, Succeeded: true}
	for _, c := range r.Compare {
		holds, err := compare(c, current)
		if err != nil {
			return nil, false, err
		}
		answer.Succeeded = answer.Succeeded && holds
	}
	ops := r.Failure
	if answer.Succeeded {
		ops = r.Success
	}
	for _, op := range ops {
		response, err := f.run(ctx, op, now, current.ModRevision)
		if conflict(err) {
			return nil, true, nil
		}
		if err != nil {
			return nil, false, err
		}
		answer.Responses = append(answer.Responses, response)
	}
	return answer, false, nil
}

// run does one operation; a write only if the key is still of that revision.
func (f *facade) run(ctx context.Context, op *etcdserverpb.RequestOp, now *rangeResponse, revision int64) (*etcdserverpb.ResponseOp, error) {
	if op.GetRequestRange() != nil {
		return &etcdserverpb.ResponseOp{Response: &etcdserverpb.ResponseOp_ResponseRange{ResponseRange: now}}, nil
	}
	if put := op.GetRequestPut(); put != nil {
		answer, err := f.write(ctx, put, revision)
		if err != nil {
			return nil, err
		}
		now.Header.Revision = answer.Header.Revision
		return &etcdserverpb.ResponseOp{Response: &etcdserverpb.ResponseOp_ResponsePut{ResponsePut: answer}}, nil
	}
	answer := &deleteResponse{Header: now.Header}
	if revision > 0 {
		err := f.with(f.rootOf(string(op.GetRequestDeleteRange().Key)), func(d *database) (err error) {
			resource, err := d.resource(string(op.GetRequestDeleteRange().Key))
			if err != nil {
				return err
			}
			now.Header.Revision, err = d.store.Delete(ctx, resource, string(op.GetRequestDeleteRange().Key), revision)
			return err
		})
		if err != nil {
			return nil, err
		}
		answer.Deleted = 1
	}
	return &etcdserverpb.ResponseOp{Response: &etcdserverpb.ResponseOp_ResponseDeleteRange{ResponseDeleteRange: answer}}, nil
}

// compare tells whether a comparison holds; a missing key has zeros.
func compare(c *etcdserverpb.Compare, current *mvccpb.KeyValue) (bool, error) {
	var order int
	switch c.Target {
	case etcdserverpb.Compare_MOD:
		order = cmp.Compare(current.ModRevision, c.GetModRevision())
	case etcdserverpb.Compare_CREATE:
		order = cmp.Compare(current.CreateRevision, c.GetCreateRevision())
	case etcdserverpb.Compare_VALUE:
		order = bytes.Compare(current.Value, c.GetValue())
	case etcdserverpb.Compare_VERSION:
		if c.GetVersion() != 0 {
			return false, unimplemented("a comparison of versions other than 0", "how often a key was written is not stored")
		}
		order = cmp.Compare(current.Version, 0)
	default:
		return false, unimplemented("a comparison of leases", reasons["etcdserverpb.Lease"])
	}
	switch c.Result {
	case etcdserverpb.Compare_EQUAL:
		return order == 0, nil
	case etcdserverpb.Compare_NOT_EQUAL:
		return order != 0, nil
	case etcdserverpb.Compare_GREATER:
		return order > 0, nil
	}
	return order < 0, nil
}
