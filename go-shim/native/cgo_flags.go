//go:build cgo && libstorage_flags

package native

// #cgo LDFLAGS: -lstorage
import "C"
