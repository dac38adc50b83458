//go:build cgo

package native

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"encoding/json"
	"unsafe"

	"github.com/libstorage/go-shim/kv"
)

// cStrings are C strings for the time of one call.
type cStrings struct{ all []*C.char }

func (c *cStrings) add(text string) *C.char {
	p := C.CString(text)
	c.all = append(c.all, p)
	return p
}

// optional is nil for "", which means a default.
func (c *cStrings) optional(text string) *C.char {
	if text == "" {
		return nil
	}
	return c.add(text)
}

func (c *cStrings) free() {
	for _, p := range c.all {
		C.free(unsafe.Pointer(p))
	}
}

// Check reports the health of "engine", "metadata", "default" or a backend. It
// returns within about two seconds.
func (s *Store) Check(name string) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.unref()
	s.blocking <- struct{}{}
	defer func() { <-s.blocking }()
	var texts cStrings
	defer texts.free()
	var e C.stg_error
	if code := C.stg_engine_check(s.engine, texts.add(name), &e); code != C.STG_CODE_OK {
		return s.closedOr(errorOf(&e))
	}
	return nil
}

// Backends by number; the last one is the default.
func (s *Store) Backends() []string { return append([]string(nil), s.backends...) }

// StatsJSON is described in docs/stats.md.
func (s *Store) StatsJSON() ([]byte, error) { return s.info("stats") }

// LayoutJSON says what is stored where, endpoints without secrets.
func (s *Store) LayoutJSON() ([]byte, error) { return s.info("layout") }

func (s *Store) readBackends() ([]string, error) {
	text, err := s.info("backends")
	if err != nil {
		return nil, err
	}
	var names []string
	return names, json.Unmarshal(text, &names)
}

func (s *Store) info(what string) ([]byte, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.unref()
	return s.infoOfEngine(what)
}

// infoOfEngine needs a reference to the engine.
func (s *Store) infoOfEngine(what string) ([]byte, error) {
	var texts cStrings
	defer texts.free()
	var text C.stg_bytes
	var slab C.uint64_t
	if code := C.stg_engine_info(s.engine, texts.add(what), &text, &slab); code != C.STG_CODE_OK {
		return nil, s.closedOr(&kv.Error{Code: kv.Code(code), Message: "no information " + what})
	}
	copied := append([]byte(nil), view(text)...)
	C.stg_slab_release(s.engine, &slab, 1)
	return copied, nil
}
