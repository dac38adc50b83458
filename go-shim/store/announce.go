package store

import (
	"bytes"
	"slices"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage"
)

// announcement is an object that is about to be written, or deleted: as value, at
// a revision that is not known yet.
type announcement struct {
	key   string
	side  side
	value []byte // of the writer, until settle
	obj   runtime.Object
	entry *decodeEntry // once the revision is known
}

// announce lets the watches have the object before the writer learns that it was
// written. It needs a settle.
func (c *decodeCache) announce(key string, side side, value []byte, obj runtime.Object) *announcement {
	a := &announcement{key: key, side: side, value: value, obj: obj}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.announced == nil {
		c.announced = map[string][]*announcement{}
	}
	c.announced[key] = append(c.announced[key], a)
	return a
}

// settle ends an announcement, with the revision of the write or 0. It tells
// whether the object is now that of the revision, and read only.
func (c *decodeCache) settle(a *announcement, rev int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	left := slices.DeleteFunc(c.announced[a.key], func(b *announcement) bool { return b == a })
	if len(left) == 0 {
		delete(c.announced, a.key)
	} else {
		c.announced[a.key] = left
	}
	if rev > 0 && a.entry == nil {
		return c.accept(a, rev)
	}
	return rev > 0 && a.entry.key.rev == rev
}

// accept makes an announced object that of a revision, with the lock held, and
// keeps it unless there is one.
func (c *decodeCache) accept(a *announcement, rev int64) bool {
	if (storage.APIObjectVersioner{}).UpdateObject(a.obj, uint64(rev)) != nil {
		return false
	}
	a.entry = &decodeEntry{key: decodeKey{rev, a.side}, size: len(a.value), obj: a.obj}
	if c.entries[a.entry.key] == nil {
		c.insert(a.entry)
	}
	return true
}

// find returns the entry of an object, from an announcement too, with the lock
// held. An equal value is what tells that the announced write is the one: it
// decodes to an equal object even if it was another.
func (c *decodeCache) find(k decodeKey, key, value []byte) *decodeEntry {
	if e := c.entries[k]; e != nil {
		return e
	}
	for _, a := range c.announced[string(key)] {
		if a.side == k.side && a.entry == nil && bytes.Equal(a.value, value) {
			c.accept(a, k.rev)
			return a.entry
		}
	}
	return nil
}
