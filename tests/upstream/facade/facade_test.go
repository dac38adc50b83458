package facade

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/libstorage/go-shim/kv"
	"github.com/libstorage/go-shim/native"
)

// files is a SQLite file for each root.
type files struct {
	t  *testing.T
	mu sync.Mutex
	m  map[string]kv.Store
}

func (f *files) Roots() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var roots []string
	for root := range f.m {
		roots = append(roots, root)
	}
	return roots
}

func (f *files) Open(root string) (kv.Store, func(), error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.m[root] == nil {
		s, err := native.Open(native.Options{DefaultEndpoint: "sqlite://" + filepath.Join(f.t.TempDir(), "default.db")})
		if err != nil {
			return nil, nil, err
		}
		f.t.Cleanup(func() { _ = s.Close() })
		f.m[root] = Record(s)
	}
	return f.m[root], func() {}, nil
}

func serve(t *testing.T) (*clientv3.Client, *files) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &files{t: t, m: map[string]kv.Store{}}
	t.Cleanup(Serve(listener, f).Stop)
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{"http://" + listener.Addr().String()}, DialTimeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client, f
}

func must[T any](answer T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
}

// keysOf is what a range answered, in one line.
func keysOf(r *clientv3.GetResponse) string {
	var all []string
	for _, one := range r.Kvs {
		all = append(all, fmt.Sprintf("%s=%s@%d", one.Key, one.Value, one.ModRevision))
	}
	return strings.Join(all, " ")
}

func TestRange(t *testing.T) {
	ctx := context.Background()
	client, _ := serve(t)
	for i, key := range []string{"/r/registry/pods/a/x", "/r/registry/pods/b/y", "/r/registry/secrets/a/z", "/s/registry/pods/a/x"} {
		must(client.Put(ctx, key, fmt.Sprint("v", i)))(t)
	}
	must(client.Put(ctx, "/r/registry/pods/a/x", "new"))(t)
	for _, tc := range []struct {
		name, key string
		options   []clientv3.OpOption
		want      string
	}{
		{"one key", "/r/registry/pods/b/y", nil, "/r/registry/pods/b/y=v1@3"},
		{"missing", "/r/registry/pods/b/q", nil, ""},
		{"prefix", "/r/registry/pods/", []clientv3.OpOption{clientv3.WithPrefix()}, "/r/registry/pods/a/x=new@5 /r/registry/pods/b/y=v1@3"},
		{"all databases", "/", []clientv3.OpOption{clientv3.WithPrefix(), clientv3.WithKeysOnly()},
			"/r/registry/pods/a/x=@5 /r/registry/pods/b/y=@3 /r/registry/secrets/a/z=@4 /s/registry/pods/a/x=@2"},
		{"no end", "/r/registry/s", []clientv3.OpOption{clientv3.WithFromKey()}, "/r/registry/secrets/a/z=v2@4 /s/registry/pods/a/x=v3@2"},
		{"limit", "/r/", []clientv3.OpOption{clientv3.WithPrefix(), clientv3.WithLimit(1)}, "/r/registry/pods/a/x=new@5"},
		{"older", "/r/registry/pods/a/x", []clientv3.OpOption{clientv3.WithRev(4)}, "/r/registry/pods/a/x=v0@2"},
		{"newest first", "/r/", []clientv3.OpOption{clientv3.WithPrefix(), clientv3.WithSort(clientv3.SortByModRevision, clientv3.SortDescend)},
			"/r/registry/pods/a/x=new@5 /r/registry/secrets/a/z=v2@4 /r/registry/pods/b/y=v1@3"},
	} {
		answer, err := client.Get(ctx, tc.key, tc.options...)
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
		} else if got := keysOf(answer); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
	if n := must(client.Get(ctx, "/r/", clientv3.WithPrefix(), clientv3.WithCountOnly()))(t); n.Count != 3 || len(n.Kvs) != 0 || n.Header.Revision != 5 {
		t.Errorf("count: %v", n)
	}
	if _, err := client.Get(ctx, "/r/registry/pods/a/x", clientv3.WithRev(99)); err != rpctypes.ErrFutureRev {
		t.Errorf("a revision to come: %v", err)
	}
}

func TestWrites(t *testing.T) {
	ctx := context.Background()
	client, f := serve(t)
	const key = "/r/registry/pods/a/x"
	if r := must(client.Put(ctx, key, "1"))(t); r.Header.Revision != 2 {
		t.Errorf("the first write has revision %d", r.Header.Revision)
	}
	if r := must(client.Put(ctx, key, "2", clientv3.WithPrevKV()))(t); string(r.PrevKv.Value) != "1" || r.Header.Revision != 3 {
		t.Errorf("the second write: %v", r)
	}
	// The event is of the collection that a store has registered.
	pods := must(f.m["/r/registry/"].Register(kv.Resource{Resource: "configmaps", Root: "/r/registry/", KeyPrefix: "/r/registry/configmaps/", Namespaced: true}))(t)
	watch := must(f.m["/r/registry/"].Watch(ctx, pods, "/r/registry/configmaps/", "/r/registry/configmaps0", 3))(t)
	defer watch.Close()
	must(client.Put(ctx, "/r/registry/configmaps/a/c", "seen"))(t)
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	batch := must(watch.Next(ctx))(t)
	defer batch.Release()
	if len(batch.Events) != 1 || string(batch.Events[0].Value) != "seen" {
		t.Errorf("the watch of the resource saw %v", batch.Events)
	}
	if r := must(client.Delete(ctx, "/r/registry/", clientv3.WithPrefix()))(t); r.Deleted != 2 || r.Header.Revision != 6 {
		t.Errorf("deleted %d at %d", r.Deleted, r.Header.Revision)
	}
	if r := must(client.Delete(ctx, "/r/registry/", clientv3.WithPrefix()))(t); r.Deleted != 0 {
		t.Errorf("deleted %d of nothing", r.Deleted)
	}
}

func TestTxn(t *testing.T) {
	ctx := context.Background()
	client, _ := serve(t)
	const key = "/r/registry/pods/a/x"
	try := func(revision int64, then clientv3.Op) *clientv3.TxnResponse {
		t.Helper()
		return must(client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", revision)).Then(then).Else(clientv3.OpGet(key)).Commit())(t)
	}
	if r := try(0, clientv3.OpPut(key, "1")); !r.Succeeded || r.Header.Revision != 2 {
		t.Errorf("create: %v", r)
	}
	if r := try(0, clientv3.OpPut(key, "2")); r.Succeeded || string(r.Responses[0].GetResponseRange().Kvs[0].Value) != "1" {
		t.Errorf("create again: %v", r)
	}
	if r := try(2, clientv3.OpPut(key, "2")); !r.Succeeded || r.Header.Revision != 3 {
		t.Errorf("update: %v", r)
	}
	if r := try(3, clientv3.OpDelete(key)); !r.Succeeded || r.Responses[0].GetResponseDeleteRange().Deleted != 1 {
		t.Errorf("delete: %v", r)
	}
	_, err := client.Txn(ctx).Then(clientv3.OpPut(key, "1"), clientv3.OpPut(key+"y", "1")).Commit()
	wantUnimplemented(t, err, "several keys")
}

// TestTxnsTogether counts up from many clients: none is lost.
func TestTxnsTogether(t *testing.T) {
	ctx := context.Background()
	client, _ := serve(t)
	const key, clients, each = "/r/registry/pods/a/x", 8, 25
	must(client.Put(ctx, key, "0"))(t)
	var wait sync.WaitGroup
	for range clients {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for done := 0; done < each; {
				now, err := client.Get(ctx, key)
				if err != nil {
					t.Error(err)
					return
				}
				var n int
				_, _ = fmt.Sscan(string(now.Kvs[0].Value), &n)
				r, err := client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", now.Kvs[0].ModRevision)).
					Then(clientv3.OpPut(key, fmt.Sprint(n+1))).Commit()
				if err != nil {
					t.Error(err)
					return
				}
				if r.Succeeded {
					done++
				}
			}
		}()
	}
	wait.Wait()
	if r := must(client.Get(ctx, key))(t); string(r.Kvs[0].Value) != fmt.Sprint(clients*each) {
		t.Errorf("counted to %s", r.Kvs[0].Value)
	}
}

func TestCompactAndStatus(t *testing.T) {
	ctx := context.Background()
	client, _ := serve(t)
	const key = "/r/registry/pods/a/x"
	for i := range 5 {
		must(client.Put(ctx, key, fmt.Sprint(i)))(t)
	}
	must(client.Put(ctx, "/s/registry/pods/a/x", "other"))(t)
	if _, err := client.Compact(ctx, 99); err != rpctypes.ErrFutureRev {
		t.Errorf("compacting what is to come: %v", err)
	}
	must(client.Compact(ctx, 4))(t)
	if _, err := client.Get(ctx, key, clientv3.WithRev(3)); err != rpctypes.ErrCompacted {
		t.Errorf("a read below: %v", err)
	}
	if r := must(client.Get(ctx, key, clientv3.WithRev(4)))(t); string(r.Kvs[0].Value) != "2" {
		t.Errorf("a read at it: %v", r.Kvs)
	}
	if r := must(client.Get(ctx, "/s/", clientv3.WithPrefix()))(t); len(r.Kvs) != 1 {
		t.Errorf("the other database: %v", r.Kvs)
	}
	s := must(client.Status(ctx, client.Endpoints()[0]))(t)
	if s.Version != statusVersion || s.DbSize == 0 || s.Header.Revision != 6 {
		t.Errorf("status: %v", s)
	}
}

func wantUnimplemented(t *testing.T, err error, reason string) {
	t.Helper()
	if s, _ := status.FromError(err); s.Code() != codes.Unimplemented || !strings.Contains(err.Error(), reason) {
		t.Errorf("want Unimplemented with %q, got %v", reason, err)
	}
}

func TestWhatIsNotServed(t *testing.T) {
	ctx := context.Background()
	client, _ := serve(t)
	_, err := client.Grant(ctx, 10)
	wantUnimplemented(t, err, "no leases")
	_, err = client.MemberList(ctx)
	wantUnimplemented(t, err, "no cluster")
	_, err = client.Put(ctx, "/r/registry/x", "", clientv3.WithLease(7))
	wantUnimplemented(t, err, "no leases")
	_, err = client.Get(ctx, "/", clientv3.WithPrefix(), clientv3.WithSort(clientv3.SortByVersion, clientv3.SortAscend))
	wantUnimplemented(t, err, "not stored")
	for service, reason := range reasons {
		if !slices.Contains([]string{"Watch", "Lease", "Cluster", "Auth"}, strings.TrimPrefix(service, "etcdserverpb.")) || reason == "" {
			t.Errorf("%s: %q", service, reason)
		}
	}
}
