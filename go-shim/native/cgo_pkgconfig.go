//go:build cgo && !libstorage_flags

package native

// #cgo pkg-config: libstorage
import "C"
