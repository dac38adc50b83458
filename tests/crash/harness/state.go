package harness

import (
	"context"
	"math/rand"
	"sync"

	"github.com/libstorage/tests/history"
)

// gate is open while the server is up. Callers whose call failed wait here, so
// that each has at most one call without an answer per strike.
type gate struct {
	mu     sync.Mutex
	isOpen bool
	opened chan struct{}
}

func (g *gate) open(yes bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if yes == g.isOpen {
		return
	}
	g.isOpen = yes
	if !yes {
		g.opened = make(chan struct{})
	} else if g.opened != nil {
		close(g.opened)
	}
}

// wait returns false when ctx is done.
func (g *gate) wait(ctx context.Context) bool {
	g.mu.Lock()
	opened := g.opened
	if g.isOpen {
		opened = nil
	}
	g.mu.Unlock()
	if opened == nil {
		return ctx.Err() == nil
	}
	select {
	case <-opened:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// knowledge is what the callers have been told: by key the revision that it has (0:
// none), and revisions to read at.
type knowledge struct {
	mu        sync.Mutex
	objects   map[string]int64
	revisions []int64
	acks      counter
	answers   counter
	refusals  map[history.OpKind]int // for want of space
	refused   chan struct{}          // closed and replaced at each
}

type waitingFor struct {
	n       int
	reached chan struct{}
}

// expected is the revision of a key; false when nobody knows.
func (k *knowledge) expected(key string) (int64, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	rev, known := k.objects[key]
	return rev, known
}

// learn what a key has. Late answers may be stale: the next write finds out.
func (k *knowledge) learn(key string, rev int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.objects[key] = rev
}

func (k *knowledge) forget(key string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.objects, key)
}

// counter of something that others wait for.
type counter struct {
	n       int
	waiting []waitingFor
}

func (c *counter) add() {
	c.n++
	kept := c.waiting[:0]
	for _, w := range c.waiting {
		if c.n >= w.n {
			close(w.reached)
		} else {
			kept = append(kept, w)
		}
	}
	c.waiting = kept
}

// await returns a channel that is closed after so many more.
func (c *counter) await(more int) <-chan struct{} {
	w := waitingFor{c.n + more, make(chan struct{})}
	c.waiting = append(c.waiting, w)
	return w.reached
}

// ack counts an acknowledged write.
func (k *knowledge) ack() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.acks.add()
}

// answer counts an answered call.
func (k *knowledge) answer() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.answers.add()
}

// awaitAcks returns a channel that is closed after so many more acknowledgements.
func (k *knowledge) awaitAcks(more int) <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.acks.await(more)
}

// awaitAnswers is the same for calls of all kinds.
func (k *knowledge) awaitAnswers(more int) <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.answers.await(more)
}

// tell remembers a revision of an answer.
func (k *knowledge) tell(rev int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	const most = 1000
	if len(k.revisions) == most {
		k.revisions = append(k.revisions[:0], k.revisions[most/2:]...)
	}
	if rev > 0 {
		k.revisions = append(k.revisions, rev)
	}
}

// sampleRevisions picks up to n of those told.
func (k *knowledge) sampleRevisions(random *rand.Rand, n int) []int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	var picked []int64
	for i := 0; i < n && len(k.revisions) > 0; i++ {
		picked = append(picked, k.revisions[random.Intn(len(k.revisions))])
	}
	return picked
}

// someRevision of those told; 0 when there is none yet.
func (k *knowledge) someRevision(random *rand.Rand) int64 {
	if picked := k.sampleRevisions(random, 1); picked != nil {
		return picked[0]
	}
	return 0
}

// forgetBelow drops revisions that are too old to read at.
func (k *knowledge) forgetBelow(rev int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	kept := k.revisions[:0]
	for _, r := range k.revisions {
		if r >= rev {
			kept = append(kept, r)
		}
	}
	k.revisions = kept
}

// refuse counts a write that found the disk full.
func (k *knowledge) refuse(kind history.OpKind) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.refusals[kind]++
	close(k.refused)
	k.refused = make(chan struct{})
}

// refusalsOf a kind so far, and a channel that is closed at the next one of any.
func (k *knowledge) refusalsOf(kind history.OpKind) (int, <-chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.refusals[kind], k.refused
}

func newKnowledge() *knowledge {
	return &knowledge{objects: map[string]int64{}, refusals: map[history.OpKind]int{}, refused: make(chan struct{})}
}
