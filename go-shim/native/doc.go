// Package native is kv.Store over libstorage, and the only package that
// imports "C". See docs/adr/0003-c-abi.md for why it is built like this.
//
// # Building
//
// pkg-config finds the library: PKG_CONFIG_PATH must name the directory of
// libstorage.pc. With the build tag libstorage_flags pkg-config is not asked:
// CGO_CFLAGS and CGO_LDFLAGS say where header and library are. Without cgo the
// package compiles, and Open returns an error.
//
// # How it works
//
// Every operation is one stg_submit. A local point read comes back inline;
// everything else parks the goroutine on a channel of its call until the one
// dispatcher goroutine of the store, which Go's poller wakes by the engine's
// eventfd, drains completions in batches. No request holds an OS thread and no
// C code calls into Go.
//
// Results are views of C memory. It lives until Release, also when the store
// is closed in between: the engine is freed with the last result.
package native
