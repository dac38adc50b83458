//go:build !cgo

package native

import "github.com/libstorage/go-shim/kv"

// Store is never made without cgo.
type Store struct{ kv.Store }

// Open returns ErrNoCgo.
func Open(Options) (*Store, error) { return nil, ErrNoCgo }

// Version of the library.
func Version() string { return "none (built without cgo)" }
