//go:build reference

package main

import (
	"errors"

	"github.com/libstorage/go-shim/kv"
)

// The control must not need the library that it is the control of.
func openNative(options) (kv.Store, error) { return nil, errors.New("built without the library") }
