package store

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
)

// A change is decoded once, not once per watch, and not at all when the writer
// has decoded it for its own response. What is kept here belongs to one Store,
// so to one codec, transformer and versioner. Kept objects are read only: who
// hands one out hands out a copy.

// side tells the object after a change from the one before.
type side uint8

const (
	sideNew side = iota
	sideOld      // at the revision of the change
)

// decodeKey names an object: a revision belongs to one change of one key.
type decodeKey struct {
	rev  int64
	side side
}

// What is kept is wanted for as long as watches differ in how far they are.
const (
	keepEntries = 2048
	keepBytes   = 8 << 20 // of encoded objects
	keepTime    = 2 * time.Second
)

// maxDecodeWait bounds how long a watch waits for another one's decoding: it is
// caller's code, which may itself wait for this watch.
const maxDecodeWait = 20 * time.Millisecond

// decoded is an object, and where it is kept; the holder owns what is not kept.
type decoded struct {
	obj  runtime.Object
	kept *decodeEntry
}

type decodeCache struct {
	mu        sync.Mutex
	entries   map[decodeKey]*decodeEntry
	announced map[string][]*announcement
	queue     []*decodeEntry // oldest first; may hold entries that were dropped
	bytes     int
	sweeper   *time.Timer // runs while there are entries
}

type decodeEntry struct {
	key   decodeKey
	size  int
	born  time.Time
	ready chan struct{} // closed when obj is final; nil for an announced object
	obj   runtime.Object

	shared atomic.Pointer[sharedObject] // obj, for watches of clients
}

// share is the one shared form of the object.
func (e *decodeEntry) share() *sharedObject {
	if e.shared.Load() == nil {
		e.shared.CompareAndSwap(nil, &sharedObject{obj: e.obj})
	}
	return e.shared.Load()
}

// get returns an object of the change of a key, decoding value if nobody has. What
// was decoded here is kept for others if keep says that there are any.
func (c *decodeCache) get(ctx context.Context, k decodeKey, key, value []byte, keep bool,
	decode func() (runtime.Object, error)) (decoded, error) {
	c.mu.Lock()
	e := c.find(k, key, value)
	if e == nil && keep {
		e = &decodeEntry{key: k, size: len(value), ready: make(chan struct{})}
		c.insert(e)
		c.mu.Unlock()
		return c.fill(e, decode)
	}
	c.mu.Unlock()
	if e != nil && e.wait(ctx) {
		decodeHits.Inc()
		return decoded{e.obj, e}, nil
	}
	decodeMisses.Inc()
	obj, err := decode()
	return decoded{obj: obj}, err
}

// fill decodes for an entry that others may wait for.
func (c *decodeCache) fill(e *decodeEntry, decode func() (runtime.Object, error)) (decoded, error) {
	decodeMisses.Inc()
	defer func() {
		close(e.ready)
		if e.obj == nil { // failed: each watch finds out for itself
			c.drop(e)
		}
	}()
	obj, err := decode()
	if err != nil {
		return decoded{}, err
	}
	e.obj = obj
	return decoded{obj, e}, nil
}

// wait tells whether the entry has got its object.
func (e *decodeEntry) wait(ctx context.Context) bool {
	if e.ready == nil {
		return true
	}
	select {
	case <-e.ready:
		return e.obj != nil
	default:
	}
	timer := time.NewTimer(maxDecodeWait)
	defer timer.Stop()
	select {
	case <-e.ready:
		return e.obj != nil
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// insert is called with the lock held.
func (c *decodeCache) insert(e *decodeEntry) {
	if c.entries == nil {
		c.entries = map[decodeKey]*decodeEntry{}
	}
	e.born = time.Now()
	c.entries[e.key] = e
	c.queue = append(c.queue, e)
	c.bytes += e.size
	c.evict(e.born)
	if c.sweeper == nil {
		c.sweeper = time.AfterFunc(keepTime, c.sweep)
	}
}

// evict is called with the lock held.
func (c *decodeCache) evict(now time.Time) {
	n := 0
	for n < len(c.queue) && (len(c.queue)-n > keepEntries || c.bytes > keepBytes || now.Sub(c.queue[n].born) > keepTime) {
		e := c.queue[n]
		c.queue[n] = nil
		c.bytes -= e.size
		if c.entries[e.key] == e {
			delete(c.entries, e.key)
		}
		n++
	}
	c.queue = c.queue[n:]
}

// sweep forgets what is old when no more comes in.
func (c *decodeCache) sweep() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.evict(time.Now())
	if c.sweeper == nil {
		return
	}
	if len(c.queue) == 0 {
		c.queue, c.sweeper = nil, nil
		return
	}
	c.sweeper.Reset(keepTime)
}

func (c *decodeCache) drop(e *decodeEntry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries[e.key] == e {
		delete(c.entries, e.key)
	}
}

// clear forgets everything.
func (c *decodeCache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sweeper != nil {
		c.sweeper.Stop()
		c.sweeper = nil
	}
	c.entries, c.queue, c.bytes = nil, nil, 0
}
