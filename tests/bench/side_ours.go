package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/storage/value/encrypt/identity"

	"github.com/libstorage/go-shim/kv"
	"github.com/libstorage/go-shim/native"
	"github.com/libstorage/go-shim/store"
	"github.com/libstorage/tests/crash/apiserver"
)

// openOurs is this storage on one SQLite file with its default settings, as
// go-shim/factory opens it in kube-apiserver.
func openOurs(dir string) (*side, error) {
	return oursAt(native.Options{DefaultEndpoint: "sqlite://" + filepath.Join(dir, "default.db")}, "pods")
}

// oursOn is this storage on one database of a server, the metadata store included.
func oursOn(server string) opener {
	return func(dir string) (*side, error) {
		d, err := startDatabase(server, dir)
		if err != nil {
			return nil, err
		}
		s, err := oursOf(d.endpoint)
		if err != nil {
			return nil, errors.Join(err, d.close())
		}
		return s, d.attach(s)
	}
}

// openOursOnEtcd is this storage on an etcd.
func openOursOnEtcd(dir string) (*side, error) {
	server, err := apiserver.StartEtcd(os.Getenv("BENCH_ETCD"), dir)
	if err != nil {
		return nil, err
	}
	if err := awaitHealth(server.URL); err != nil {
		return nil, errors.Join(err, server.Kill())
	}
	s, err := oursOf(server.URL)
	if err != nil {
		return nil, errors.Join(err, server.Kill())
	}
	s.servers = processes{server.Pid()}
	s.queries = func() (int64, error) { return etcdQueries(server.URL) }
	s.before(server.Kill)
	return s, nil
}

// spreadKinds are written in turn; each has a rule of its own when they are spread.
var spreadKinds = []string{"ones", "twos", "threes"}

// openSpread is the three kinds on so many servers: the first one holds what no rule
// takes, and the metadata store.
func openSpread(servers int) opener {
	return func(dir string) (_ *side, err error) {
		var databases []*database
		defer func() {
			for _, d := range databases {
				if err != nil {
					err = errors.Join(err, d.close())
				}
			}
		}()
		for i := range servers {
			d, err := startDatabase("postgresql", filepath.Join(dir, fmt.Sprint(i)))
			if err != nil {
				return nil, err
			}
			databases = append(databases, d)
		}
		options := native.Options{DefaultEndpoint: databases[0].endpoint, TopologyText: spreadRules(databases[1:])}
		s, err := oursAt(options, spreadKinds...)
		if err != nil {
			return nil, err
		}
		for _, d := range databases {
			s.servers = append(s.servers, d.server.Pid())
			s.before(d.close)
		}
		return s, nil
	}
}

// spreadRules gives each further database a kind.
func spreadRules(databases []*database) string {
	if len(databases) == 0 {
		return "backends: []\n"
	}
	var rules strings.Builder
	rules.WriteString("backends:\n")
	for i, d := range databases {
		kind := spreadKinds[i+1]
		fmt.Fprintf(&rules, "- name: %s\n  endpoint: %s\n  prefix: {prefix: %s}\n", kind, d.endpoint, kind)
	}
	return rules.String()
}

// oursOf is this storage with everything in one database.
func oursOf(endpoint string) (*side, error) {
	s, err := oursAt(native.Options{DefaultEndpoint: endpoint}, "pods")
	if err != nil {
		return nil, err
	}
	s.other = []string{"ours", endpoint}
	return s, nil
}

// oursAt opens an engine with a store for each resource.
func oursAt(options native.Options, resources ...string) (*side, error) {
	options.Log = func(level native.LogLevel, message string) {
		if level > native.LogInfo {
			fmt.Fprintln(os.Stderr, message)
		}
	}
	engine, err := native.Open(options)
	if err != nil {
		return nil, err
	}
	s := &side{clients: self(), close: engine.Close}
	for _, resource := range resources {
		one, err := storeOf(engine, resource)
		if err != nil {
			return nil, errors.Join(err, s.close())
		}
		s.kinds = append(s.kinds, one)
		inner := s.close
		s.close = func() error {
			one.Close()
			return inner()
		}
	}
	s.store = s.kinds[0]
	return s, nil
}

func storeOf(engine kv.Store, resource string) (*store.Store, error) {
	return store.New(store.Options{
		KV: engine, Codec: podCodec(), NewFunc: newPodObject, NewListFunc: newPodList,
		Prefix: storageRoot, ResourcePrefix: "/" + resource, GroupResource: corev1.Resource(resource),
		Transformer: identity.NewEncryptCheckTransformer(), Kind: "Pod", Namespaced: true,
		GetAttrs: podAttrs, ShareEncoding: true,
	})
}
