package checker

import (
	"fmt"

	"github.com/libstorage/tests/history"
)

// checkChains: every conditional write of a key follows the write it expected.
func (c *checker) checkChains() {
	for _, name := range c.names {
		k := c.keys[name]
		var before *commit
		for _, now := range k.commits {
			c.checkLink(k, before, now)
			before = now
		}
	}
}

// live is the revision of the object that a commit leaves; 0 for none.
func live(c *commit) int64 {
	if c == nil || c.deleted {
		return 0
	}
	return c.rev
}

func (c *checker) checkLink(k *key, before, now *commit) {
	if now.op == nil {
		if now.deleted {
			c.fail(GhostWrite, "revision %d: %s, which had revision %d", now.rev, whatIs(now), live(before))
		}
		return
	}
	expected := now.op.Expected // 0 for a create
	if expected == live(before) {
		return
	}
	if expected == 0 && k.mayBeDeleted(before.rev, now.op.End) {
		u := k.noteUnseen(before.rev)
		if u.by == 0 || now.rev < u.by {
			u.by = now.rev
		}
		return
	}
	c.fail(LostWrite, "%s was accepted at %d on top of %d, but %s stood there",
		describe(now.op), now.rev, expected, whatStood(before))
}

func whatStood(c *commit) string {
	if c == nil {
		return "nothing"
	}
	return fmt.Sprintf("%s (%d)", whatIs(c), c.rev)
}

// refusedBy is what a refusal says of the version that was met (0: absent); nil when
// it says nothing.
func refusedBy(op *history.Op) func(version int64) bool {
	switch op.Code {
	case history.Exists:
		return func(version int64) bool { return version != 0 }
	case history.NotFound:
		return func(version int64) bool { return version == 0 }
	case history.Conflict:
		return func(version int64) bool { return version != op.Expected }
	}
	return nil
}

// checkRefusals: who was told of a conflict could have met another version
// than the one expected. An outage must not be reported as a conflict.
func (c *checker) checkRefusals() {
	for _, op := range c.history.Ops {
		if !op.Writes() || op.Result != history.Failed {
			continue
		}
		if fits := refusedBy(op); fits != nil && !c.key(op.Key).mayMeet(op.Start, op.End, fits) {
			c.fail(FalseConflict, "%s expected %d and got %q, but nothing else was there", describe(op), op.Expected, op.Code)
		}
	}
}

// mayMeet: between start and end the key may have had a version (0: absent) that
// fits. A version may be there from the start of the call that made it until the
// one that replaced it is known to have happened.
func (k *key) mayMeet(start, end int64, fits func(version int64) bool) bool {
	var made int64 // when the version before now may have come to be
	version := int64(0)
	deletable := func() bool { return version != 0 && fits(0) && k.mayBeDeleted(version, end) }
	for _, now := range k.commits {
		if now.doneBy >= start && (made < end && fits(version) || deletable()) {
			return true
		}
		version, made = live(now), now.startedAt()
	}
	return made < end && fits(version) || deletable()
}

func (c *commit) startedAt() int64 {
	if c.op == nil {
		return 0
	}
	return c.op.Start
}
