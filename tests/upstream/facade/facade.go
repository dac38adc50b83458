// Package facade speaks as much of etcd's v3 protocol as upstream's tests need, over
// our databases. Upstream's integration tests look at the stored bytes with a client
// of etcd, put objects beside the API server, and compact; with the facade at the
// address in KUBE_INTEGRATION_ETCD_URL they do so unmodified on our storage.
//
// It is test code and is never linked into what ships.
//
// What it serves, and how it differs from etcd:
//
//   - KV.Range: all of it but sorting by version. Version is 1 for a key that was
//     written once and 2 for one that was written more often: we do not count.
//   - KV.Put without leases. KV.DeleteRange: one revision for each key, where
//     etcd has one for all.
//   - KV.Txn: comparisons and operations of one key, at most one write.
//   - KV.Compact: every database that has got that far. etcd has one for all.
//   - Maintenance.Status: version, size and revision.
//
// All else is answered with Unimplemented and the reason. Upstream gives each test a
// storage root of its own (/UUID/registry), and each root has a database here. So the
// revision of an answer is that of the database of its keys.
package facade

import (
	"context"
	"net"
	"strings"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/libstorage/go-shim/kv"
)

// Databases are those behind the facade.
type Databases interface {
	// Roots are the storage roots that are known, with both slashes.
	Roots() []string
	// Open holds the database of a root, made by Record, until release. A root that was
	// not known is then.
	Open(root string) (store kv.Store, release func(), err error)
}

// reasons why a service is not served.
var reasons = map[string]string{
	"etcdserverpb.Watch":   "no test of upstream watches the keys of etcd beside the API server; watches are tested through storage.Interface",
	"etcdserverpb.Lease":   "a time to live belongs to the object that storage.Interface wrote; there are no leases to look at",
	"etcdserverpb.Cluster": "there is no cluster of etcd behind this address",
	"etcdserverpb.Auth":    "the facade has no users",
}

// Serve answers on the listener until the returned server is stopped.
func Serve(listener net.Listener, databases Databases) *grpc.Server {
	server := grpc.NewServer(grpc.UnknownServiceHandler(unknown), grpc.MaxRecvMsgSize(64<<20))
	f := &facade{databases: databases}
	etcdserverpb.RegisterKVServer(server, f)
	etcdserverpb.RegisterMaintenanceServer(server, maintenance{facade: f})
	go func() { _ = server.Serve(listener) }()
	return server
}

func unknown(_ any, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
	service, _, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
	reason := reasons[service]
	if reason == "" {
		reason = "upstream's tests do not call it"
	}
	return unimplemented(method, reason)
}

func unimplemented(what, reason string) error {
	return status.Errorf(codes.Unimplemented, "the etcd facade of libstorage's tests does not serve %s: %s", what, reason)
}

type facade struct {
	*etcdserverpb.UnimplementedKVServer
	databases Databases
}

// maintenance serves Status alone.
type maintenance struct {
	*etcdserverpb.UnimplementedMaintenanceServer
	facade *facade
}

// statusVersion is what Kubernetes 1.32 is released with.
const statusVersion = "3.5.16"

// Status implements etcdserverpb.MaintenanceServer.
func (m maintenance) Status(ctx context.Context, _ *etcdserverpb.StatusRequest) (*etcdserverpb.StatusResponse, error) {
	answer := &etcdserverpb.StatusResponse{Header: &etcdserverpb.ResponseHeader{}, Version: statusVersion}
	for _, root := range m.facade.databases.Roots() {
		err := m.facade.with(root, func(d *database) error {
			revision, err := d.store.CurrentRevision(ctx, d.all)
			answer.Header.Revision = max(answer.Header.Revision, revision)
			answer.DbSize += d.size()
			return err
		})
		if err != nil {
			return nil, grpcError(err)
		}
	}
	answer.DbSizeInUse = answer.DbSize
	return answer, nil
}
