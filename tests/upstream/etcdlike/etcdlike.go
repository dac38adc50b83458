// Package etcdlike has the names that upstream's tests of the watch cache use of
// etcd and of its store, with our store behind them: cacher.sh replaces their
// imports by this one, and nothing else.
package etcdlike

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"sync/atomic"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/storage"
	etcdfeature "k8s.io/apiserver/pkg/storage/feature"
	"k8s.io/apiserver/pkg/storage/value"

	"github.com/libstorage/go-shim/kv"
	"github.com/libstorage/go-shim/native"
	"github.com/libstorage/go-shim/store"
)

// EtcdTestServer is a database of one test.
type EtcdTestServer struct{ V3Client *KubernetesClient }

// KubernetesClient and Client are the ways to it.
type KubernetesClient struct{ Client *Client }

// Client is what the tests write and compact with.
type Client struct {
	KV      *Client
	db      kv.Store
	touched kv.ResourceID
}

var names atomic.Int64

// NewUnsecuredEtcd3TestClientServer opens a database: in SQLite, or in memory with
// DATABASE=memory.
func NewUnsecuredEtcd3TestClientServer(t testing.TB) (*EtcdTestServer, any) {
	options := native.Options{DefaultEndpoint: "sqlite://" + filepath.Join(t.TempDir(), "default.db")}
	if os.Getenv("DATABASE") == "memory" {
		name := fmt.Sprintf("memory://cacher%d", names.Add(1))
		options = native.Options{DefaultEndpoint: name, MetadataEndpoint: name + ".meta", AllowMemory: true}
	}
	db, err := native.Open(options)
	if err != nil {
		t.Fatal(err)
	}
	id, err := db.Register(kv.Resource{Resource: "compact", Root: "/", KeyPrefix: "/compact/"})
	if err != nil {
		t.Fatal(err)
	}
	client := &Client{db: db, touched: id}
	client.KV = client
	return &EtcdTestServer{&KubernetesClient{client}}, nil
}

// Terminate closes the database.
func (s *EtcdTestServer) Terminate(t testing.TB) {
	if err := s.V3Client.Client.db.Close(); err != nil {
		t.Errorf("closing the database: %v", err)
	}
}

// PathPrefix is the storage root.
func PathPrefix() string { return "/registry" }

// Put moves the revision by one, which is all that the tests want of it.
func (c *Client) Put(ctx context.Context, _, value string) (any, error) {
	return c.db.Put(ctx, c.touched, "/compact/rev", []byte(value), kv.PutOptions{Expected: kv.AnyRevision})
}

// Compact makes older revisions unreadable.
func (c *Client) Compact(ctx context.Context, rev int64) (any, error) {
	return nil, c.db.Compact(ctx, rev)
}

// New makes a store with the arguments of etcd3.New.
func New(c *KubernetesClient, codec runtime.Codec, newFunc, newListFunc func() runtime.Object,
	prefix, resourcePrefix string, resource schema.GroupResource, transformer value.Transformer,
	_, _ any, _ storage.Versioner) storage.Interface {
	s, err := store.New(store.Options{
		KV: c.Client.db, Codec: codec, NewFunc: newFunc, NewListFunc: newListFunc,
		Prefix: prefix, ResourcePrefix: resourcePrefix, GroupResource: resource, Transformer: transformer,
		Kind: "Pod", Namespaced: true,
		KeyPrefix: path.Join("/", prefix), // some tests have keys beside the resource's
	})
	if err != nil {
		panic(err)
	}
	return paced{s}
}

// NewDefaultLeaseManagerConfig is of no use to us.
func NewDefaultLeaseManagerConfig() any { return nil }

// NewDefaultDecoder neither.
func NewDefaultDecoder(runtime.Codec, storage.Versioner) any { return nil }

// features answers as go-shim/factory does.
type features struct {
	etcdfeature.FeatureSupportChecker
}

func (features) Supports(storage.Feature) bool { return true }

func init() {
	etcdfeature.DefaultFeatureSupportChecker = features{etcdfeature.DefaultFeatureSupportChecker}
}
