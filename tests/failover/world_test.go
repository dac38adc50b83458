package failover

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/apitesting"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apiserver/pkg/apis/example"
	examplev1 "k8s.io/apiserver/pkg/apis/example/v1"
	"k8s.io/apiserver/pkg/storage"

	"github.com/libstorage/go-shim/native"
	"github.com/libstorage/go-shim/store"
	"github.com/libstorage/go-shim/testserver"
)

var (
	scheme = runtime.NewScheme()
	codecs = serializer.NewCodecFactory(scheme)
)

func init() {
	metav1.AddToGroupVersion(scheme, metav1.SchemeGroupVersion)
	utilruntime.Must(example.AddToScheme(scheme))
	utilruntime.Must(examplev1.AddToScheme(scheme))
}

// Namespaces of the kind that is split, by the database that they are in.
var namespaceIn = map[string]string{"postgresql": "team-a", "mariadb": "team-b", "etcd": "team-c", "sqlite": "team-d"}

// kindIn is the kind that a database has to itself.
var kindIn = map[string]string{"postgresql": "pods", "mariadb": "secrets", "etcd": "configmaps", "sqlite": "leases"}

const splitKind = "services"

// objects of each kind, and of each namespace of the one that is split.
const objects = 20

// world is an API server's storage over four databases, one of each sort.
type world struct {
	servers map[string]*testserver.Server
	kinds   map[string]storage.Interface
}

func newWorld(t *testing.T) *world {
	w := &world{servers: map[string]*testserver.Server{}, kinds: map[string]storage.Interface{}}
	for _, s := range []*testserver.Server{testserver.StartPostgres(t), testserver.StartMariaDB(t), testserver.StartEtcd(t)} {
		w.servers[s.Name()] = s
	}
	db := w.open(t)
	for _, kind := range append([]string{splitKind}, values(kindIn)...) {
		w.kinds[kind] = newStore(t, db, kind)
	}
	for i := range objects {
		name := fmt.Sprintf("seed-%02d", i)
		for home, kind := range kindIn {
			w.seed(t, kind, "ns", name)
			w.seed(t, splitKind, namespaceIn[home], name)
		}
	}
	return w
}

func values(m map[string]string) (all []string) {
	for _, v := range m {
		all = append(all, v)
	}
	return all
}

func (w *world) seed(t *testing.T, kind, namespace, name string) {
	if err := w.create(kind, namespace, name); err != nil {
		t.Fatalf("creating %s %s/%s: %v", kind, namespace, name, err)
	}
}

// open the library. What a server has to itself and its part of the kind that is
// split are two databases of it; etcd has but one.
func (w *world) open(t *testing.T) *native.Store {
	pg, my := w.servers["postgresql"], w.servers["mariadb"]
	dir := t.TempDir()
	db, err := native.Open(native.Options{
		DefaultEndpoint:  "sqlite://" + filepath.Join(dir, "default.db"),
		MetadataEndpoint: "sqlite://" + filepath.Join(dir, "meta.db"),
		TopologyText: fmt.Sprintf(`
backends:
- {name: pods, endpoint: %q, prefix: {prefix: pods}}
- {name: secrets, endpoint: %q, prefix: {prefix: secrets}}
- {name: a, endpoint: %q, prefix: {prefix: services/team-a}}
- {name: b, endpoint: %q, prefix: {prefix: services/team-b}}
- {name: etcd, endpoint: %q, regexp: {prefix: ^(configmaps|services)$, key: ^configmaps/|^services/team-c/}}
`, pg.NewDatabase(t), my.NewDatabase(t), pg.NewDatabase(t), my.NewDatabase(t), w.servers["etcd"].Endpoint("")),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() }) // a database may be down when the test fails
	return db
}

func newStore(t *testing.T, db *native.Store, kind string) storage.Interface {
	s, err := store.New(store.Options{
		KV: db, Codec: apitesting.TestCodec(codecs, examplev1.SchemeGroupVersion),
		NewFunc:     func() runtime.Object { return &example.Pod{} },
		NewListFunc: func() runtime.Object { return &example.PodList{} },
		Prefix:      "/registry", ResourcePrefix: "/" + kind, GroupResource: schema.GroupResource{Resource: kind},
		Kind: kind, Namespaced: true, ProgressInterval: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func keyOf(kind, namespace, name string) string {
	return fmt.Sprintf("/%s/%s/%s", kind, namespace, name)
}

func (w *world) create(kind, namespace, name string) error {
	object := &example.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	return w.kinds[kind].Create(context.Background(), keyOf(kind, namespace, name), object, &example.Pod{}, 0)
}

func (w *world) update(kind, namespace, name string) error {
	return w.kinds[kind].GuaranteedUpdate(context.Background(), keyOf(kind, namespace, name), &example.Pod{}, false, nil,
		storage.SimpleUpdate(func(obj runtime.Object) (runtime.Object, error) {
			obj.(*example.Pod).Spec.NodeName += "."
			return obj, nil
		}), nil)
}

func (w *world) remove(kind, namespace, name string) error {
	return w.kinds[kind].Delete(context.Background(), keyOf(kind, namespace, name), &example.Pod{}, nil,
		storage.ValidateAllObjectFunc, nil, storage.DeleteOptions{})
}

func (w *world) get(kind, namespace, name string) error {
	return w.kinds[kind].Get(context.Background(), keyOf(kind, namespace, name), storage.GetOptions{}, &example.Pod{})
}

// list a namespace, or all with "".
func (w *world) list(kind, namespace string, change ...func(*storage.ListOptions)) (*example.PodList, error) {
	key := "/" + kind
	if namespace != "" {
		key += "/" + namespace
	}
	options := storage.ListOptions{Predicate: storage.Everything, Recursive: true}
	for _, f := range change {
		f(&options)
	}
	list := &example.PodList{}
	err := w.kinds[kind].GetList(context.Background(), key, options, list)
	return list, err
}
