package checker

import (
	"sort"

	"github.com/libstorage/tests/history"
)

// fact: at time, somebody had been told of a revision up to rev.
type fact struct {
	time int64
	rev  int64 // highest of all facts so far
}

// learnOrder collects every revision that was told to anybody, over time.
func (c *checker) learnOrder() {
	tell := func(time, rev int64) {
		if rev > 0 {
			c.order = append(c.order, fact{time, rev})
		}
	}
	for _, op := range c.history.Ops {
		if op.Result == history.OK && op.At == 0 {
			tell(op.End, op.Rev)
		}
		for _, item := range op.Items {
			tell(op.End, item.Mod)
		}
	}
	for _, stream := range c.history.Streams {
		for _, event := range stream.Events {
			tell(event.Time, event.Rev)
		}
	}
	sort.Slice(c.order, func(i, j int) bool { return c.order[i].time < c.order[j].time })
	for i := 1; i < len(c.order); i++ {
		c.order[i].rev = max(c.order[i].rev, c.order[i-1].rev)
	}
}

// toldBefore is the highest revision that anybody had been told of before time.
func (c *checker) toldBefore(time int64) int64 {
	i := sort.Search(len(c.order), func(i int) bool { return c.order[i].time >= time })
	if i == 0 {
		return 0
	}
	return c.order[i-1].rev
}

// checkOrder: what begins after a revision was told, by whatever server to whomever,
// gets a higher one when it writes, and no lower one when it reads. That is more
// than revisions that never go down for one server or one caller.
func (c *checker) checkOrder() {
	for _, name := range c.names {
		for _, now := range c.keys[name].commits {
			if now.op == nil {
				continue
			}
			if told := c.toldBefore(now.op.Start); now.rev <= told {
				c.fail(BackwardRev, "%s got %d after %d had been told", describe(now.op), now.rev, told)
			}
		}
	}
	for _, op := range c.history.Ops {
		if asked := max(op.At, op.Min); op.Code == history.Future && asked <= c.toldBefore(op.Start) {
			c.fail(BackwardRev, "%s at %d, which had been told, is answered as above everything", describe(op), asked)
		}
		if op.Writes() || op.Result != history.OK || op.At != 0 || op.Rev == 0 {
			continue
		}
		if op.Rev < op.Min {
			c.fail(BackwardRev, "%s answers at %d and was asked for %d or later", describe(op), op.Rev, op.Min)
		}
		if told := c.toldBefore(op.Start); op.Rev < told {
			c.fail(BackwardRev, "%s answers at %d after %d had been told", describe(op), op.Rev, told)
		}
	}
}

// epochs are the boundaries between revision histories: revisions up to bound
// that were told before the metadata store was lost are void after time.
type epoch struct {
	time  int64
	bound int64
}

func (c *checker) epochs() []epoch {
	var all []epoch
	for _, mark := range c.history.Marks {
		if mark.Kind == history.MetaLost {
			all = append(all, epoch{mark.Time, c.toldBefore(mark.Time)})
		}
	}
	return all
}

// floorAsked is the highest floor that had been asked for before time.
func (c *checker) floorAsked(time int64) int64 {
	floor := int64(0)
	for _, mark := range c.history.Marks {
		if mark.Kind == history.Compact && mark.Time < time {
			floor = max(floor, mark.Rev)
		}
	}
	return floor
}

// check410: an old revision is refused when its history is gone, and only then.
func (c *checker) check410() {
	epochs := c.epochs()
	void := func(rev, time int64) bool {
		for _, e := range epochs {
			if rev <= e.bound && e.time < time {
				return true
			}
		}
		return false
	}
	for _, op := range c.history.Ops {
		if op.At == 0 {
			continue
		}
		switch {
		case op.Code == history.Compacted && op.At >= c.floorAsked(op.End) && !void(op.At, op.End):
			c.fail(False410, "%s at %d; the floor is at most %d", describe(op), op.At, c.floorAsked(op.End))
		case op.Result == history.OK && void(op.At, op.Start):
			c.fail(Missing410, "%s at %d, of a history that was lost", describe(op), op.At)
		}
	}
	for _, s := range c.history.Streams {
		end := s.End
		if end == 0 {
			end = s.Start + 1
		}
		switch {
		case s.Code == history.Compacted && s.Last() >= c.floorAsked(end) && !void(s.After, end):
			c.fail(False410, "watcher %d after %d (stream %d); the floor is at most %d", s.Watcher, s.After, s.ID, c.floorAsked(end))
		case len(s.Events) > 0 && void(s.After, s.Start):
			c.fail(Missing410, "watcher %d after %d (stream %d), of a history that was lost, got events", s.Watcher, s.After, s.ID)
		}
	}
}
