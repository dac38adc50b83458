package facade

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/libstorage/go-shim/kv"
)

// database is one that is held for the time of a request.
type database struct {
	store kv.Store
	root  string
	all   kv.ResourceID // everything below the root
}

// with runs a request in the database of a root. The last server of a database closes
// it; then it is opened once more.
func (f *facade) with(root string, do func(*database) error) error {
	err := f.once(root, do)
	if errors.Is(err, kv.ErrClosed) {
		err = f.once(root, do)
	}
	return err
}

func (f *facade) once(root string, do func(*database) error) error {
	store, release, err := f.databases.Open(root)
	if err != nil {
		return err
	}
	defer release()
	all, err := store.Register(kv.Resource{Resource: "facade", Root: root, KeyPrefix: root})
	if err != nil {
		return err
	}
	return do(&database{store: store, root: root, all: all})
}

// rootOf is the storage root of a key: the longest that is known, or what upstream's
// tests would call it.
func (f *facade) rootOf(key string) string {
	best := ""
	for _, root := range f.databases.Roots() {
		if strings.HasPrefix(key, root) && len(root) > len(best) {
			best = root
		}
	}
	if best != "" {
		return best
	}
	if before, _, found := strings.Cut(key, "/registry/"); found {
		return before + "/registry/"
	}
	return "/"
}

// rootsIn are the known roots of which keys may be in a range, in their order.
func (f *facade) rootsIn(start, end string) []string {
	var roots []string
	for _, root := range f.databases.Roots() {
		after := root[:len(root)-1] + "0" // '0' follows '/'
		if (end == "" || root < end) && start < after {
			roots = append(roots, root)
		}
	}
	slices.Sort(roots)
	return roots
}

// resource is the one whose events and routes those of a key are.
func (d *database) resource(key string) (kv.ResourceID, error) {
	if recorded, ok := d.store.(*recorder); ok {
		if resource, found := recorded.of(key); found {
			return d.store.Register(resource)
		}
	}
	return 0, fmt.Errorf("nothing is registered for %s in %s: was the store made by Record?", key, d.root)
}

func (d *database) size() int64 {
	var stats struct {
		Backends []struct {
			FileBytes int64 `json:"file_bytes"`
		}
	}
	text, err := d.store.StatsJSON()
	if err != nil || json.Unmarshal(text, &stats) != nil {
		return 0
	}
	var size int64
	for _, b := range stats.Backends {
		size += b.FileBytes
	}
	return size
}

// put writes one key, whatever was there, and gives what was.
func (d *database) put(ctx context.Context, key string, value []byte, expected int64) (int64, error) {
	resource, err := d.resource(key)
	if err != nil {
		return 0, err
	}
	return d.store.Put(ctx, resource, key, value, kv.PutOptions{Expected: expected})
}

// remove deletes one key; a missing one is no error.
func (d *database) remove(ctx context.Context, key string, expected int64) (revision int64, found bool, err error) {
	resource, err := d.resource(key)
	if err != nil {
		return 0, false, err
	}
	revision, err = d.store.Delete(ctx, resource, key, expected)
	var e *kv.Error
	if errors.As(err, &e) && e.Code == kv.CodeNotFound {
		return e.Revision, false, nil
	}
	return revision, err == nil, err
}

// release gives back what an error carries, and tells whether it is a conflict.
func conflict(err error) bool {
	var e *kv.Error
	if !errors.As(err, &e) {
		return false
	}
	e.Current.Release()
	return e.Code == kv.CodeConflict || e.Code == kv.CodeExists || e.Code == kv.CodeNotFound
}

// grpcError makes etcd's errors of ours.
func grpcError(err error) error {
	var e *kv.Error
	if !errors.As(err, &e) {
		if _, ok := status.FromError(err); ok || err == nil {
			return err
		}
		return status.FromContextError(err).Err()
	}
	e.Current.Release()
	switch e.Code {
	case kv.CodeCompacted:
		return rpctypes.ErrGRPCCompacted
	case kv.CodeFutureRevision:
		return rpctypes.ErrGRPCFutureRev
	case kv.CodeTooLarge:
		return rpctypes.ErrGRPCRequestTooLarge
	case kv.CodeNoSpace:
		return rpctypes.ErrGRPCNoSpace
	case kv.CodeInvalid:
		return status.Error(codes.InvalidArgument, e.Error())
	case kv.CodeUnimplemented:
		return status.Error(codes.Unimplemented, e.Error())
	}
	return status.Error(codes.Unavailable, e.Error())
}
