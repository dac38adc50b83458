// Package store is Kubernetes' storage.Interface on the five verbs of package kv.
//
// One Store serves one resource as one codec sees it. It owns no data: objects
// live behind kv.Store, which several Stores share.
//
// No lock of this package is held while a caller's code runs (transformers,
// decoders, update functions, predicates): that code may call the Store again.
package store

import (
	"context"
	"fmt"
	"path"
	"reflect"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/features"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/etcd3/metrics"
	"k8s.io/apiserver/pkg/storage/value"
	"k8s.io/apiserver/pkg/storage/value/encrypt/identity"
	utilfeature "k8s.io/apiserver/pkg/util/feature"

	"github.com/libstorage/go-shim/kv"
)

// Options of New. KV, Codec and GroupResource are required.
type Options struct {
	KV    kv.Store
	Codec runtime.Codec
	// NewFunc and NewListFunc are nil for raw storages: no bookmarks then.
	NewFunc, NewListFunc func() runtime.Object
	// Prefix is the storage root as configured ("/registry"), ResourcePrefix the
	// resource's part of the key ("/pods"); empty for raw storages.
	Prefix, ResourcePrefix string
	GroupResource          schema.GroupResource
	// Transformer is nil for none.
	Transformer value.Transformer

	// Kind, Namespaced and Custom are told to the router.
	Kind               string
	Namespaced, Custom bool
	// KeyPrefix overrides what Prefix and ResourcePrefix give.
	KeyPrefix string

	// GetAttrs gives the attributes stored beside a value. Without it none are.
	GetAttrs storage.AttrFunc

	// ProgressInterval is how often watches with ProgressNotify learn the current
	// revision, BookmarkInterval how long a client's watch may be quiet before it does.
	ProgressInterval, BookmarkInterval time.Duration

	// ShareEncoding hands objects of client watches out as runtime.CacheableObject,
	// so that all watches of one kind share each serialization.
	ShareEncoding bool
}

const (
	defaultProgressInterval = 10 * time.Minute // etcd's --experimental-watch-progress-notify-interval
	defaultBookmarkInterval = time.Minute
)

// Store implements storage.Interface.
type Store struct {
	kv          kv.Store
	id          kv.ResourceID
	codec       runtime.Codec
	newFunc     func() runtime.Object
	transformer value.Transformer
	versioner   storage.Versioner
	getAttrs    storage.AttrFunc

	pathPrefix string // the root with both slashes
	listKey    string // the resource's key, which never holds an object; "" for raw storages
	resource   schema.GroupResource
	label      string // resource, in metrics
	objectType string

	progressInterval, bookmarkInterval time.Duration
	shareEncoding                      bool
	// unsafeDelete is the feature AllowUnsafeMalformedObjectDeletion.
	unsafeDelete bool

	watches watchSet
	decoded decodeCache
	rests   rests
	turns   turns
}

var _ storage.Interface = (*Store)(nil)

// New registers the resource with the key-value store and returns its Store.
func New(o Options) (*Store, error) {
	registerMetrics()
	s := &Store{
		kv: o.KV, codec: o.Codec, newFunc: o.NewFunc, transformer: o.Transformer,
		versioner: storage.APIObjectVersioner{}, getAttrs: o.GetAttrs,
		pathPrefix: withSlash(path.Join("/", o.Prefix)),
		resource:   o.GroupResource, label: o.GroupResource.String(), objectType: "<unknown>",
		progressInterval: o.ProgressInterval, bookmarkInterval: o.BookmarkInterval,
		shareEncoding: o.ShareEncoding,
		unsafeDelete:  utilfeature.DefaultFeatureGate.Enabled(features.AllowUnsafeMalformedObjectDeletion),
	}
	if s.newFunc != nil {
		s.objectType = reflect.TypeOf(s.newFunc()).String()
	}
	if s.transformer == nil {
		s.transformer = identity.NewEncryptCheckTransformer()
	}
	if s.progressInterval <= 0 {
		s.progressInterval = defaultProgressInterval
	}
	if s.bookmarkInterval <= 0 {
		s.bookmarkInterval = defaultBookmarkInterval
	}
	keyPrefix := s.pathPrefix
	if p := strings.Trim(o.ResourcePrefix, "/"); p != "" {
		s.listKey = s.pathPrefix + p
		keyPrefix = s.listKey + "/"
	}
	if o.KeyPrefix != "" {
		keyPrefix = withSlash(o.KeyPrefix)
	}
	id, err := o.KV.Register(kv.Resource{
		Group: o.GroupResource.Group, Resource: o.GroupResource.Resource, Kind: o.Kind,
		Root: s.pathPrefix, KeyPrefix: keyPrefix, Namespaced: o.Namespaced, Custom: o.Custom,
	})
	if err != nil {
		return nil, fmt.Errorf("resource %s: %w", s.label, err)
	}
	s.id = id
	return s, nil
}

// Close ends the watches of this Store. The kv.Store stays open.
func (s *Store) Close() {
	s.watches.stopAll()
	s.decoded.clear()
}

// Versioner implements storage.Interface.
func (s *Store) Versioner() storage.Versioner { return s.versioner }

// ReadinessCheck implements storage.Interface: nil when objects can be read.
func (s *Store) ReadinessCheck() error {
	if err := s.kv.Check("engine"); err != nil {
		return fmt.Errorf("%w: %v", storage.ErrStorageNotReady, err)
	}
	return nil
}

// Count implements storage.Interface.
func (s *Store) Count(key string) (int64, error) {
	prefix, err := s.prepareKey(key)
	if err != nil {
		return 0, err
	}
	prefix = withSlash(prefix)
	start := time.Now()
	n, err := s.kv.Count(context.Background(), s.id, prefix, prefixEnd(prefix))
	metrics.RecordEtcdRequest("listWithCount", prefix, err, start)
	if err != nil {
		return 0, s.apiError(err, prefix, 0)
	}
	return n, nil
}

// prepareKey makes the whole key of a key below the root.
func (s *Store) prepareKey(key string) (string, error) {
	for rest := key; ; {
		segment, after, more := strings.Cut(rest, "/")
		if segment == "." || segment == ".." {
			return "", fmt.Errorf("invalid key: %q", key)
		}
		if !more {
			break
		}
		rest = after
	}
	below, _ := strings.CutPrefix(key, "/")
	if below == "" {
		return "", fmt.Errorf("empty key: %q", key)
	}
	return s.pathPrefix + below, nil
}

// withSlash makes "/a", whose range would hold "/ab" too, into "/a/".
func withSlash(key string) string {
	if strings.HasSuffix(key, "/") {
		return key
	}
	return key + "/"
}

// prefixEnd is the end of the range of keys below a prefix that ends in "/".
func prefixEnd(prefix string) string {
	return prefix[:len(prefix)-1] + string(rune('/'+1))
}
