package factory

import (
	"k8s.io/apiserver/pkg/storage/storagebackend"

	"github.com/libstorage/go-shim/kv"
)

// What tests need that have their storages made by upstream's code.

// WrapForTest has every store that is opened from now on pass through wrap. Call it
// before any is.
func WrapForTest(wrap func(kv.Store) kv.Store) {
	before := open
	open = func(s settings) (kv.Store, error) {
		store, err := before(s)
		if err != nil {
			return nil, err
		}
		return wrap(store), nil
	}
}

// OpenForTest joins the engine that storages of this configuration share, or opens
// it, and gives what it has for a store. Call release once.
func OpenForTest(c storagebackend.Config) (opened kv.Store, release func(), err error) {
	s, err := settingsOf(&c)
	if err != nil {
		return nil, nil, err
	}
	e, err := acquire(s)
	if err != nil {
		return nil, nil, err
	}
	return e.Store, e.release, nil
}
