//go:build !reference

package main

import (
	"fmt"
	"os"

	"github.com/libstorage/go-shim/kv"
	"github.com/libstorage/go-shim/native"
)

func openNative(o options) (kv.Store, error) {
	return native.Open(native.Options{
		TopologyPath: o.topology, DefaultEndpoint: o.endpoint, MetadataEndpoint: o.metadata, Restored: o.restored,
		Log: func(level native.LogLevel, message string) { fmt.Fprintf(os.Stderr, "%d %s\n", level, message) },
	})
}
