// Package hooktest shows what a registered storage backend may rely on.
// verify-patches.sh runs it beside the patched apiserver module.
package hooktest

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/apiserver/pkg/server/options"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/etcd3/metrics"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/client-go/tools/cache"
)

type hookOptions struct{ file string }

var errHook = errors.New("from the hook")

var hookBackend = &storagebackend.Backend{
	Create: func(storagebackend.ConfigForResource, func() runtime.Object, func() runtime.Object, string) (storage.Interface, func(), error) {
		return nil, nil, errHook
	},
	HealthCheck: func(storagebackend.Config, <-chan struct{}) (func() error, error) { return nil, errHook },
	ReadyCheck:  func(storagebackend.Config, <-chan struct{}) (func() error, error) { return nil, errHook },
	Prober:      func(storagebackend.Config) (storagebackend.Prober, error) { return nil, errHook },
	Monitor:     func(storagebackend.Config) (metrics.Monitor, error) { return nil, errHook },
	NamedChecks: func(storagebackend.Config, <-chan struct{}) (storagebackend.NamedChecks, error) {
		check := func(name string) []healthz.HealthChecker {
			return []healthz.HealthChecker{healthz.NamedCheck(name, func(*http.Request) error { return nil })}
		}
		return storagebackend.NamedChecks{Healthz: check("storage-one"), Livez: check("storage-engine"), Readyz: check("storage-default")}, nil
	},
	AddFlags: func(fs *pflag.FlagSet, c *storagebackend.Config) {
		o, ok := c.BackendOptions.(*hookOptions)
		if !ok {
			o = &hookOptions{}
			c.BackendOptions = o
		}
		fs.StringVar(&o.file, "hook-file", o.file, "")
	},
	Validate: func(c storagebackend.Config, overrides []string) []error {
		if c.Type != "hook" && len(c.Transport.ServerList) > 0 && strings.HasPrefix(c.Transport.ServerList[0], "multi://") {
			return []error{errHook}
		}
		if c.Type == "hook" && len(overrides) > 0 {
			return []error{errHook}
		}
		return nil
	},
}

func init() {
	storagebackend.RegisterBackend("hook", hookBackend)
	storagebackend.RegisterBackend("hook-alias", hookBackend)
}

func newHookOptions(storageType string, servers ...string) *options.EtcdOptions {
	o := options.NewEtcdOptions(storagebackend.NewDefaultConfig("/registry", nil))
	o.StorageConfig.Type = storageType
	o.StorageConfig.Transport.ServerList = servers
	return o
}

func TestRegisteredBackendFlags(t *testing.T) {
	o := newHookOptions("")
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	o.AddFlags(fs)
	if err := fs.Parse([]string{"--storage-backend=hook", "--hook-file=a"}); err != nil {
		t.Fatal(err)
	}
	o.AddFlags(pflag.NewFlagSet("completed", pflag.ContinueOnError))
	config := o.StorageConfig // as the aggregator copies it
	if got := config.BackendOptions.(*hookOptions).file; got != "a" {
		t.Errorf("--hook-file arrived as %q", got)
	}
	if usage := fs.Lookup("storage-backend").Usage; usage != "The storage backend for persistence. Options: 'etcd3' (default), hook, hook-alias." {
		t.Errorf("--storage-backend help: %s", usage)
	}
}

func TestRegisteredBackendValidate(t *testing.T) {
	overridden := newHookOptions("hook")
	overridden.EtcdServersOverrides = []string{"/pods#http://127.0.0.1:1"}
	for _, tc := range []struct {
		name string
		etcd *options.EtcdOptions
		want string
	}{
		{"registered type, no servers", newHookOptions("hook"), ""},
		{"its endpoints under its type", newHookOptions("hook", "multi://a", "b"), ""},
		{"no type, no servers", newHookOptions(""), "--etcd-servers must be specified"},
		{"its endpoints under another type", newHookOptions("etcd3", "multi://a"), errHook.Error()},
		{"overrides", overridden, errHook.Error()},
		{"unknown type", newHookOptions("other", "http://127.0.0.1:1"), "--storage-backend invalid, allowed values: etcd3, hook, hook-alias."},
	} {
		t.Run(tc.name, func(t *testing.T) {
			errs := tc.etcd.Validate()
			if tc.want == "" && len(errs) == 0 {
				return
			}
			if len(errs) != 1 || tc.want == "" || !strings.Contains(errs[0].Error(), tc.want) {
				t.Errorf("got %v, want one error with %q", errs, tc.want)
			}
		})
	}
}

func TestRegisteredBackendHealthChecks(t *testing.T) {
	names := func(checks []healthz.HealthChecker) string {
		var all []string
		for _, c := range checks {
			all = append(all, c.Name())
		}
		return strings.Join(all, ",")
	}
	c := server.NewConfig(serializer.NewCodecFactory(runtime.NewScheme()))
	upstream := names(c.HealthzChecks) + ","
	if err := newHookOptions("hook").ApplyTo(c); err != nil {
		t.Fatal(err)
	}
	for endpoint, tc := range map[string]struct {
		checks []healthz.HealthChecker
		want   string
	}{
		"healthz": {c.HealthzChecks, "storage-one"},
		"livez":   {c.LivezChecks, "storage-engine"},
		"readyz":  {c.ReadyzChecks, "storage-default"},
	} {
		if got := names(tc.checks); got != upstream+tc.want {
			t.Errorf("%s has %s, want %s", endpoint, got, upstream+tc.want)
		}
	}
}

func TestRegisteredBackendSwitches(t *testing.T) {
	c := newHookOptions("hook").StorageConfig
	_, _, create := factory.Create(*c.ForResource(schema.GroupResource{Resource: "pods"}), nil, nil, "/pods")
	_, health := factory.CreateHealthCheck(c, nil)
	_, ready := factory.CreateReadyCheck(c, nil)
	_, prober := factory.CreateProber(c)
	_, monitor := factory.CreateMonitor(c)
	for name, err := range map[string]error{"Create": create, "CreateHealthCheck": health, "CreateReadyCheck": ready, "CreateProber": prober, "CreateMonitor": monitor} {
		if err != errHook {
			t.Errorf("%s did not reach the backend: %v", name, err)
		}
	}
	if got := len(storagebackend.RegisteredBackends()); got != 1 {
		t.Errorf("one backend under two types is listed %d times", got)
	}
}

// sharedOptions are RESTOptions that two stores get, as tests of registries do.
type sharedOptions struct{ generic.RESTOptions }

func (o sharedOptions) GetRESTOptions(schema.GroupResource, runtime.Object) (generic.RESTOptions, error) {
	return o.RESTOptions, nil
}

type namespaced struct{ rest.RESTCreateUpdateStrategy }

func (namespaced) NamespaceScoped() bool { return true }

func TestHints(t *testing.T) {
	var got storagebackend.ConfigForResource
	shared := &storagebackend.ConfigForResource{}
	decorator := func(c *storagebackend.ConfigForResource, _ string, _ func(runtime.Object) (string, error), _, _ func() runtime.Object,
		_ storage.AttrFunc, _ storage.IndexerFuncs, _ *cache.Indexers) (storage.Interface, factory.DestroyFunc, error) {
		got = *c
		return nil, func() {}, nil
	}
	pod := func() runtime.Object { return &example.Pod{} }
	store := &registry.Store{
		NewFunc: pod, NewListFunc: func() runtime.Object { return &example.PodList{} },
		DefaultQualifiedResource: example.Resource("pods"), SingularQualifiedResource: example.Resource("pod"),
		CreateStrategy: namespaced{}, UpdateStrategy: namespaced{}, DeleteStrategy: struct{ rest.RESTDeleteStrategy }{},
		TableConvertor: rest.NewDefaultTableConvertor(example.Resource("pods")),
	}
	err := store.CompleteWithOptions(&generic.StoreOptions{RESTOptions: sharedOptions{generic.RESTOptions{
		StorageConfig: shared, Decorator: decorator, ResourcePrefix: "/pods"}}})
	if err != nil {
		t.Fatal(err)
	}
	object := &example.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p", Labels: map[string]string{"a": "b"}}}
	labels, fields, err := got.Hints.GetAttrs(object)
	if err != nil || labels.Get("a") != "b" || fields.Get("metadata.namespace") != "ns" {
		t.Errorf("GetAttrs gave %v, %v, %v", labels, fields, err)
	}
	if key, err := got.Hints.KeyFunc(object); err != nil || key != "/pods/ns/p" {
		t.Errorf("KeyFunc gave %q, %v", key, err)
	}
	if !got.Hints.NamespaceScoped {
		t.Error("pods are namespaced")
	}
	if shared.Hints.GetAttrs != nil {
		t.Error("the config that other stores share was changed")
	}
}
