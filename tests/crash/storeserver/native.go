package main

import (
	"errors"

	"github.com/libstorage/go-shim/kv"
)

func openNative(o options) (kv.Store, error) { return nil, errors.New("not linked yet") }
