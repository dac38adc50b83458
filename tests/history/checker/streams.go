package checker

import (
	"sort"
	"strings"

	"github.com/libstorage/tests/history"
)

// checkStreams: every watch delivers every commit of its range between its start
// and its last event or progress mark.
func (c *checker) checkStreams() {
	var all []*commit
	for _, name := range c.names {
		all = append(all, c.keys[name].commits...)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].rev < all[j].rev })
	for _, s := range c.history.Streams {
		c.checkStreamWhole(s, all)
	}
}

// checkResumes: a watcher goes on where it was; elsewhere only after a 410.
func (c *checker) checkResumes() {
	before := map[int]*history.Stream{}
	for _, s := range c.history.Streams {
		if s.Watcher < 0 { // a probe: one stream
			continue
		}
		last := before[s.Watcher]
		before[s.Watcher] = s
		if last != nil && last.Code != history.Compacted && s.After != last.Covers() {
			c.fail(WatchGap, "watcher %d was at %d (stream %d) and went on after %d (stream %d)",
				s.Watcher, last.Covers(), last.ID, s.After, s.ID)
		}
	}
}

// checkStreamOrders: in order, once, and only what is in the range.
func (c *checker) checkStreamOrders() {
	for _, s := range c.history.Streams {
		c.checkStreamOrder(s)
	}
}

func (c *checker) checkStreamOrder(s *history.Stream) {
	last, lastKind := s.After, history.Progress
	for _, event := range s.Events {
		// A progress mark may repeat what was delivered; an event may not.
		ok := event.Rev > last || event.Rev == last && event.Kind == history.Progress
		if !ok {
			c.fail(WatchOrder, "watcher %d (stream %d after %d): %s %d comes after %s %d",
				s.Watcher, s.ID, s.After, event.Kind, event.Rev, lastKind, last)
		}
		if event.Kind != history.Progress && !strings.HasPrefix(event.Key, s.Prefix) {
			c.fail(GhostWrite, "watcher %d of %q got %q", s.Watcher, s.Prefix, event.Key)
		}
		last, lastKind = max(last, event.Rev), event.Kind
	}
}

func (c *checker) checkStreamWhole(s *history.Stream, all []*commit) {
	delivered := make(map[int64]bool, len(s.Events))
	last := s.After
	for _, event := range s.Events {
		if event.Kind != history.Progress {
			delivered[event.Rev] = true
		}
		last = max(last, event.Rev)
	}
	first := sort.Search(len(all), func(i int) bool { return all[i].rev > s.After })
	for _, now := range all[first:] {
		if now.rev > last {
			return
		}
		if strings.HasPrefix(now.key, s.Prefix) && !delivered[now.rev] {
			c.fail(WatchGap, "watcher %d (stream %d after %d, up to %d) missed %d, %s",
				s.Watcher, s.ID, s.After, last, now.rev, whatIs(now))
		}
	}
}
