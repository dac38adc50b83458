package checker

import (
	"strings"

	"github.com/libstorage/tests/history"
)

// checkReads: a read at R shows the state at R.
func (c *checker) checkReads() {
	for _, op := range c.history.Ops {
		if op.Writes() || op.Result != history.OK && op.Code != history.NotFound {
			continue
		}
		rev := op.Rev
		if op.At != 0 {
			rev = op.At
		}
		switch {
		case op.Kind == history.List:
			c.checkList(op, rev)
		case rev == 0:
			c.checkUnnumbered(op)
		default:
			c.checkPoint(op, c.key(op.Key), find(op, op.Key), rev)
		}
	}
}

// checkPages: all pages of a list are of one revision.
func (c *checker) checkPages() {
	for _, op := range c.history.Ops {
		for i, rev := range op.Pages {
			if op.Result == history.OK && rev != op.Rev {
				c.fail(UnevenPages, "%s begins at %d, and page %d is of %d", describe(op), op.Rev, i+1, rev)
			}
		}
	}
}

func find(op *history.Op, name string) *history.Item {
	for i := range op.Items {
		if op.Items[i].Key == name {
			return &op.Items[i]
		}
	}
	return nil
}

func (c *checker) checkList(op *history.Op, rev int64) {
	items := make(map[string]*history.Item, len(op.Items))
	for i := range op.Items {
		item := &op.Items[i]
		if i > 0 && op.Items[i-1].Key >= item.Key {
			c.fail(StaleRead, "%s at %d: %q follows %q", describe(op), rev, item.Key, op.Items[i-1].Key)
		}
		items[item.Key] = item
	}
	for _, name := range c.names {
		if strings.HasPrefix(name, op.Key) {
			c.checkPoint(op, c.keys[name], items[name], rev)
		}
	}
}

// checkPoint: the read of one key at rev gave item, or nothing.
func (c *checker) checkPoint(op *history.Op, k *key, item *history.Item, rev int64) {
	want := k.at(rev)
	switch {
	case item == nil && live(want) == 0:
	case item == nil && k.mayBeDeleted(want.rev, op.End):
		u := k.noteUnseen(want.rev)
		if u.by == 0 || rev < u.by {
			u.by = rev
		}
	case item == nil && want.lastSeen > op.End:
		c.fail(StaleRead, "%s at %d has no %q, written at %d", describe(op), rev, k.name, want.rev)
	case item == nil:
		c.fail(LostWrite, "%s at %d has no %q, written at %d", describe(op), rev, k.name, want.rev)
	case item.Mod > rev:
		c.fail(StaleRead, "%s at %d shows %q of %d", describe(op), rev, k.name, item.Mod)
	case want == nil || want.rev != item.Mod:
		c.fail(StaleRead, "%s at %d shows %q of %d, but %s stood there", describe(op), rev, k.name, item.Mod, whatStood(want))
	default:
		u := k.noteUnseen(item.Mod)
		u.aliveAt = max(u.aliveAt, rev)
	}
}

// checkUnnumbered: a latest read of one key whose answer has no revision must be
// the state at some moment of the call.
func (c *checker) checkUnnumbered(op *history.Op) {
	k := c.key(op.Key)
	got := int64(0)
	if item := find(op, op.Key); item != nil {
		got = item.Mod
	}
	if !k.mayMeet(op.Start, op.End, func(version int64) bool { return version == got }) {
		c.fail(StaleRead, "%s shows %q of %d, which was not there then", describe(op), op.Key, got)
	}
}

// checkGone: what was missing once without a known delete stays away, and a delete
// that succeeded did happen.
func (c *checker) checkGone() {
	for _, name := range c.names {
		k := c.keys[name]
		for version, u := range k.unseen {
			if u.by != 0 && u.aliveAt >= u.by {
				c.fail(CameBack, "%q of %d was gone at %d and there at %d", name, version, u.by, u.aliveAt)
			}
		}
	}
	for _, op := range c.history.Ops {
		if op.Kind == history.List || op.Kind == history.Get && op.At == 0 {
			c.checkDeletedStay(op)
		}
	}
}

func (c *checker) checkDeletedStay(read *history.Op) {
	if read.At != 0 {
		return
	}
	for _, item := range read.Items {
		for _, op := range c.key(item.Key).deletes[item.Mod] {
			if op.Result == history.OK && op.End < read.Start {
				c.fail(LostWrite, "%s shows %q of %d after %s", describe(read), item.Key, item.Mod, describe(op))
			}
		}
	}
}
