package factory

import (
	"reflect"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"

	"github.com/libstorage/go-shim/store"
)

// rawResources gives the storages that no registry owns the names by which
// users route them: that of their keys, which alone tell them apart.
var rawResources = map[string]string{
	"apiServerIPInfo":            "masterleases",
	"apiServerPeerIPInfo":        "peerserverleases",
	"serviceipallocations":       "ranges",
	"servicenodeportallocations": "ranges",
}

func create(c storagebackend.ConfigForResource, newFunc, newListFunc func() runtime.Object, resourcePrefix string) (storage.Interface, func(), error) {
	s, err := settingsOf(&c.Config)
	if err != nil {
		return nil, nil, err
	}
	e, err := acquire(s)
	if err != nil {
		return nil, nil, err
	}
	markActive()
	st, err := store.New(storeOptions(e, c, newFunc, newListFunc, resourcePrefix))
	if err != nil {
		e.release()
		return nil, nil, err
	}
	// Subresources share a storage and each destroys it.
	return st, sync.OnceFunc(func() {
		st.Close()
		e.release()
	}), nil
}

func storeOptions(e *engine, c storagebackend.ConfigForResource, newFunc, newListFunc func() runtime.Object, resourcePrefix string) store.Options {
	o := store.Options{
		KV: e, Codec: c.Codec, NewFunc: newFunc, NewListFunc: newListFunc,
		Prefix: c.Prefix, ResourcePrefix: resourcePrefix, GroupResource: c.GroupResource,
		Transformer: c.Transformer, GetAttrs: c.Hints.GetAttrs, Namespaced: c.Hints.NamespaceScoped,
		ShareEncoding: true,
	}
	if newFunc != nil {
		o.Kind, o.Custom = kindOf(newFunc())
	}
	if name, ok := rawResources[c.GroupResource.Resource]; ok && newFunc == nil {
		o.GroupResource.Resource, o.ResourcePrefix = name, "/"+name
	}
	return o
}

// kindOf names the kind of an object, and tells whether it is a custom resource.
func kindOf(obj runtime.Object) (kind string, custom bool) {
	if u, ok := obj.(*unstructured.Unstructured); ok {
		return u.GetKind(), true
	}
	t := reflect.TypeOf(obj)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Name(), false
}
