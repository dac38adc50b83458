package store

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/klog/v2"
)

// The row codec of docs/format.md: what selects an object, stored beside it.

const attrsVersion = 1

const (
	attrLabel byte = 1
	attrField byte = 2
	attrOwner byte = 3
)

type attr struct {
	kind        byte
	name, value string
}

// compareAttrs looks no further than it must: every write sorts with it.
func compareAttrs(a, b attr) int {
	if a.kind != b.kind {
		return int(a.kind) - int(b.kind)
	}
	if a.name != b.name {
		return strings.Compare(a.name, b.name)
	}
	return strings.Compare(a.value, b.value)
}

// encryptedPrefix begins every value that a provider of encryption at rest wrote.
var encryptedPrefix = []byte("k8s:enc:")

type attrsBuffer struct {
	entries []attr
	bytes   []byte
}

var attrsBuffers = sync.Pool{New: func() any { return new(attrsBuffer) }}

func (b *attrsBuffer) put() {
	if b == nil {
		return
	}
	clear(b.entries) // do not keep the object's strings
	b.entries, b.bytes = b.entries[:0], b.bytes[:0]
	attrsBuffers.Put(b)
}

// data is what goes beside the value; empty means that nothing is known.
func (b *attrsBuffer) data() []byte {
	if b == nil {
		return nil
	}
	return b.bytes
}

// attributes encodes what selects obj, whose stored form is value. It is nil
// when nothing may be known: the attributes of an encrypted value would be
// plaintext beside it, and providers change while the server runs, so the
// bytes decide, not the configuration.
func (s *Store) attributes(obj runtime.Object, value []byte) *attrsBuffer {
	if s.getAttrs == nil || bytes.HasPrefix(value, encryptedPrefix) {
		return nil
	}
	accessor, err := meta.Accessor(obj)
	if err != nil {
		return nil
	}
	labels, fields, err := s.getAttrs(obj)
	if err != nil {
		klog.V(4).InfoS("No attributes for an object", "resource", s.label, "err", err)
		return nil
	}
	b := attrsBuffers.Get().(*attrsBuffer)
	for name, value := range labels {
		b.entries = append(b.entries, attr{attrLabel, name, value})
	}
	for name, value := range fields {
		if value != "" { // a field selector takes absent and empty for the same
			b.entries = append(b.entries, attr{attrField, name, value})
		}
	}
	for _, owner := range accessor.GetOwnerReferences() {
		b.entries = append(b.entries, attr{attrOwner, "", string(owner.UID)})
	}
	b.encode()
	return b
}

func (b *attrsBuffer) encode() {
	slices.SortFunc(b.entries, compareAttrs)
	b.bytes = append(b.bytes[:0], attrsVersion)
	for i, e := range b.entries {
		if i > 0 && e == b.entries[i-1] { // an owner that is named twice
			continue
		}
		b.bytes = append(b.bytes, e.kind)
		b.bytes = appendText(b.bytes, e.name)
		b.bytes = appendText(b.bytes, e.value)
	}
}

func appendText(b []byte, text string) []byte {
	b = binary.AppendUvarint(b, uint64(len(text)))
	return append(b, text...)
}
