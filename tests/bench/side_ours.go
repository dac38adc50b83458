package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/apiserver/pkg/storage/value/encrypt/identity"

	"github.com/libstorage/go-shim/native"
	"github.com/libstorage/go-shim/store"
)

// openOurs is this storage on one SQLite file with its default settings, as
// go-shim/factory opens it in kube-apiserver.
func openOurs(dir string) (*side, error) {
	kv, err := native.Open(native.Options{
		DefaultEndpoint: "sqlite://" + filepath.Join(dir, "default.db"),
		Log: func(level native.LogLevel, message string) {
			if level > native.LogInfo {
				fmt.Fprintln(os.Stderr, message)
			}
		},
	})
	if err != nil {
		return nil, err
	}
	pods, err := store.New(store.Options{
		KV: kv, Codec: podCodec(), NewFunc: newPodObject, NewListFunc: newPodList,
		Prefix: storageRoot, ResourcePrefix: "/pods", GroupResource: podResource,
		Transformer: identity.NewEncryptCheckTransformer(), Kind: "Pod", Namespaced: true,
		GetAttrs: podAttrs, ShareEncoding: true,
	})
	if err != nil {
		return nil, errors.Join(err, kv.Close())
	}
	s := &side{store: pods, processes: self()}
	s.close = func() error {
		pods.Close()
		return kv.Close()
	}
	return s, nil
}
