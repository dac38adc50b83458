package factory

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/apitesting"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/apis/example"
	examplev1 "k8s.io/apiserver/pkg/apis/example/v1"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	storagefactory "k8s.io/apiserver/pkg/storage/storagebackend/factory"
)

func TestStoreOptions(t *testing.T) {
	attrs := func(runtime.Object) (labels.Set, fields.Set, error) { return nil, nil, nil }
	shirt := func() runtime.Object {
		u := &unstructured.Unstructured{}
		u.SetGroupVersionKind(schema.GroupVersionKind{Group: "stable.example.com", Version: "v1", Kind: "Shirt"})
		return u
	}
	pod := func() runtime.Object { return &example.Pod{} }
	for _, tc := range []struct {
		name     string
		resource schema.GroupResource
		hints    storagebackend.Hints
		newFunc  func() runtime.Object
		prefix   string
		want     string // group/resource kind prefix custom namespaced attrs
	}{
		{"built-in", schema.GroupResource{Resource: "pods"}, storagebackend.Hints{GetAttrs: attrs, NamespaceScoped: true}, pod, "/pods",
			"/pods Pod /pods false true true"},
		{"custom", schema.GroupResource{Group: "stable.example.com", Resource: "shirts"}, storagebackend.Hints{GetAttrs: attrs}, shirt,
			"/stable.example.com/shirts", "stable.example.com/shirts Shirt /stable.example.com/shirts true false true"},
		{"leases of servers", schema.GroupResource{Resource: "apiServerIPInfo"}, storagebackend.Hints{}, nil, "",
			"/masterleases  /masterleases false false false"},
		{"allocator", schema.GroupResource{Resource: "serviceipallocations"}, storagebackend.Hints{}, nil, "",
			"/ranges  /ranges false false false"},
		{"unknown raw", schema.GroupResource{Resource: "odd"}, storagebackend.Hints{}, nil, "", "/odd   false false false"},
	} {
		c := storagebackend.ConfigForResource{Config: config(StorageType), GroupResource: tc.resource, Hints: tc.hints}
		o := storeOptions(&engine{}, c, tc.newFunc, nil, tc.prefix)
		words := []string{o.GroupResource.Group + "/" + o.GroupResource.Resource, o.Kind, o.ResourcePrefix}
		for _, b := range []bool{o.Custom, o.Namespaced, o.GetAttrs != nil} {
			words = append(words, map[bool]string{true: "true", false: "false"}[b])
		}
		if got := strings.Join(words, " "); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}

// TestCreate goes the way of kube-apiserver, to a file and back, over a restart.
func TestCreate(t *testing.T) {
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, metav1.SchemeGroupVersion)
	for _, add := range []func(*runtime.Scheme) error{example.AddToScheme, examplev1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	c := config(StorageType, "multi://sqlite://"+filepath.Join(t.TempDir(), "default.db"))
	c.Codec = apitesting.TestCodec(serializer.NewCodecFactory(scheme), examplev1.SchemeGroupVersion)
	forPods := storagebackend.ConfigForResource{Config: c, GroupResource: schema.GroupResource{Resource: "pods"}}
	newPod := func() runtime.Object { return &example.Pod{} }
	newList := func() runtime.Object { return &example.PodList{} }
	ctx := context.Background()
	var written string
	for round := range 2 {
		stop := make(chan struct{})
		if _, err := namedChecks(c, stop); err != nil {
			t.Fatal(err)
		}
		s, destroy, err := storagefactory.Create(forPods, newPod, newList, "/pods")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.ReadinessCheck(); err != nil {
			t.Error(err)
		}
		out := &example.Pod{}
		if round == 0 {
			in := &example.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "a"}}
			if err := s.Create(ctx, "/pods/ns/a", in, out, 0); err != nil {
				t.Fatal(err)
			}
			written = out.ResourceVersion
		} else if err := s.Get(ctx, "/pods/ns/a", storage.GetOptions{}, out); err != nil || out.ResourceVersion != written {
			t.Errorf("after a restart: %q, want %q, %v", out.ResourceVersion, written, err)
		}
		w, err := s.Watch(ctx, "/pods", storage.ListOptions{ResourceVersion: written, Recursive: true, Predicate: storage.Everything})
		if err != nil {
			t.Fatal(err)
		}
		close(stop)
		destroy()
		destroy() // by each subresource
		if event, ok := <-w.ResultChan(); ok {
			t.Errorf("got %v", event)
		}
		waitClosed(t)
	}
}

// TestEndpointFromAFile: a password need not stand in an argument. Others must
// not be able to read the file.
func TestEndpointFromAFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "endpoint")
	if err := os.WriteFile(file, []byte("sqlite://"+filepath.Join(dir, "default.db")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := config(StorageType, "multi://file://"+file)
	stop := make(chan struct{})
	if _, err := namedChecks(c, stop); err != nil {
		t.Fatal(err)
	}
	close(stop)
	waitClosed(t)
	if _, err := os.Stat(filepath.Join(dir, "default.db")); err != nil {
		t.Error(err)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := namedChecks(c, nil); err == nil || !strings.Contains(err.Error(), "run: chmod 600 "+file) {
		t.Errorf("a file that others may read: %v", err)
	}
}

// TestStartErrors: what a wrong argument or file gives names the argument or the
// place in the file, and what to write instead.
func TestStartErrors(t *testing.T) {
	dir := t.TempDir()
	topology := filepath.Join(dir, "t.yaml")
	if err := os.WriteFile(topology, []byte("backends:\n- name: pods\n  endpoint: sqlite://"+dir+"/a.db\n  prefix: {prefix: pods}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	good := "multi://sqlite://" + dir + "/default.db"
	for _, tc := range []struct {
		name, endpoint string
		options        Options
		want           string
	}{
		{"no such topology", good, Options{TopologyConfig: dir + "/none.yaml"},
			dir + "/none.yaml: cannot be read: No such file or directory; name a readable file with --topology-config or TOPOLOGY_CONFIG"},
		{"default database", "multi://sqlit://x", Options{}, "--etcd-servers: the endpoint has an unknown scheme; did you mean sqlite://?"},
		{"its option", good + "?_fast=1", Options{}, "--etcd-servers: sqlite option _fast of " + dir + "/default.db: unknown option; remove it"},
		{"metadata store", good, Options{MetadataStore: "sqlit://x"}, "--metadata-store: the endpoint has an unknown scheme; did you mean sqlite://?"},
		{"metadata in the place of objects", good, Options{MetadataStore: "sqlite://" + dir + "/default.db"},
			"--etcd-servers: the metadata store has the file " + dir + "/default.db too; give each a file of its own"},
		{"a rule's file twice", "multi://sqlite://" + dir + "/a.db", Options{TopologyConfig: topology},
			topology + ":2:3: rule \"pods\": the default database has the file " + dir + "/a.db too; give each a file of its own"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := config(StorageType, tc.endpoint)
			c.BackendOptions = &tc.options
			if _, err := namedChecks(c, nil); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
		})
	}
}
