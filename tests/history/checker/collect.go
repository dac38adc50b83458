package checker

import (
	"sort"

	"github.com/libstorage/tests/history"
)

// collect gathers every committed write that anybody was told of.
func (c *checker) collect() {
	for _, op := range c.history.Ops {
		if op.Kind == history.Create || op.Kind == history.Update {
			if other := c.writers[op.Value]; other != nil {
				c.fail(GhostWrite, "the history is unusable: %s and %s write the same value", describe(op), describe(other))
			}
			c.writers[op.Value] = op
		}
		if op.Writes() && op.Kind != history.Delete || op.Kind == history.Delete && op.Result != history.Failed {
			c.key(op.Key)
		}
	}
	for _, op := range c.history.Ops {
		if op.Writes() && op.Result == history.OK && op.Rev > 0 {
			c.see(op.Rev, op.Key, op.Value, op.Kind == history.Delete, op.End)
		}
		for _, item := range op.Items {
			c.see(item.Mod, item.Key, item.Value, false, op.End).show(op.End)
		}
	}
	for _, stream := range c.history.Streams {
		for _, event := range stream.Events {
			if event.Kind != history.Progress {
				c.see(event.Rev, event.Key, event.Value, event.Kind == history.Deleted, event.Time).show(event.Time)
			}
		}
	}
}

func (c *checker) key(name string) *key {
	k := c.keys[name]
	if k == nil {
		k = &key{name: name, deletes: map[int64][]*history.Op{}, unseen: map[int64]*unseenDelete{}}
		c.keys[name] = k
	}
	return k
}

// see notes that a write is committed at rev, and that it agrees with what was
// noted before.
func (c *checker) see(rev int64, name, value string, deleted bool, when int64) *commit {
	found := c.commits[rev]
	if found == nil {
		found = &commit{rev: rev, key: name, value: value, deleted: deleted, doneBy: when}
		c.commits[rev] = found
		c.key(name).commits = append(c.key(name).commits, found)
		c.seeValue(found)
	} else if found.key != name || found.deleted != deleted || !deleted && found.value != value {
		c.fail(ReusedRevision, "%d is %s and also %s", rev, whatIs(found), whatIs(&commit{key: name, value: value, deleted: deleted}))
	}
	found.doneBy = min(found.doneBy, when)
	return found
}

// show notes that a read or watch showed it.
func (c *commit) show(when int64) { c.lastSeen = max(c.lastSeen, when) }

func whatIs(c *commit) string {
	if c.deleted {
		return "the delete of " + c.key
	}
	return "the write of " + c.value + " to " + c.key
}

// seeValue: a value is written by one call and committed once.
func (c *checker) seeValue(found *commit) {
	if found.deleted {
		return
	}
	if other := c.byValue[found.value]; other != nil {
		c.fail(ReusedRevision, "%s is committed at %d and again at %d", whatIs(found), other.rev, found.rev)
	}
	c.byValue[found.value] = found
	found.op = c.writers[found.value]
	switch {
	case found.op == nil:
		c.fail(GhostWrite, "revision %d: %s", found.rev, whatIs(found))
	case found.op.Result == history.Failed:
		c.fail(GhostWrite, "revision %d is there, but was refused: %s: %s", found.rev, describe(found.op), found.op.Error)
	case found.op.Key != found.key:
		c.fail(GhostWrite, "revision %d: %s, but it was sent to %s", found.rev, whatIs(found), found.op.Key)
	}
}

// linkKeys sorts what is known by key and finds who deleted what.
func (c *checker) linkKeys() {
	for _, op := range c.history.Ops {
		if op.Kind == history.Delete && op.Result != history.Failed {
			k := c.key(op.Key)
			k.deletes[op.Expected] = append(k.deletes[op.Expected], op)
		}
	}
	for name, k := range c.keys {
		c.names = append(c.names, name)
		sort.Slice(k.commits, func(i, j int) bool { return k.commits[i].rev < k.commits[j].rev })
		for i, found := range k.commits {
			if found.deleted && i > 0 {
				found.op = chooseDelete(k.deletes[k.commits[i-1].rev], found.rev)
			}
			if found.op != nil && found.op.Result == history.OK {
				found.doneBy = min(found.doneBy, found.op.End)
			}
		}
		for i := len(k.commits) - 2; i >= 0; i-- {
			k.commits[i].doneBy = min(k.commits[i].doneBy, k.commits[i+1].doneBy)
		}
	}
	sort.Strings(c.names)
}

// chooseDelete picks the call that made the delete at rev: the one that was told
// so, else one that succeeded without being told, else one without an answer; of
// equals the one that began first, which may explain most.
func chooseDelete(candidates []*history.Op, rev int64) *history.Op {
	var best *history.Op
	rank := func(op *history.Op) int {
		switch {
		case op == nil:
			return 0
		case op.Result == history.OK && op.Rev == rev:
			return 3
		case op.Result == history.OK && op.Rev == 0:
			return 2
		case op.Result == history.Unknown:
			return 1
		}
		return 0
	}
	for _, op := range candidates {
		if rank(op) > rank(best) || rank(op) > 0 && rank(op) == rank(best) && op.Start < best.Start {
			best = op
		}
	}
	return best
}
