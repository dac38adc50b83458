package checker

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/libstorage/tests/history"
)

// badHistory is a fault that can be seeded in a good history. mutate returns false
// when there is no place for it.
type badHistory struct {
	name   string
	rule   Rule
	mutate func(h *history.History) bool
}

// badHistories are refused, each for its rule.
var badHistories = []badHistory{
	{"a lost write", LostWrite, aLostWrite},
	{"a lost update", LostWrite, aLostUpdate},
	{"a reused revision", ReusedRevision, aReusedRevision},
	{"a watch gap", WatchGap, aWatchGap},
	{"reordered events", WatchOrder, reorderedEvents},
	{"a stale list", StaleRead, aStaleList},
	{"a revision that goes back", BackwardRev, aRevisionThatGoesBack},
	{"a forgotten revision", BackwardRev, aForgottenRevision},
	{"a false410", False410, aFalse410},
	{"an old revision after the metadata was lost", Missing410, anOldRevisionAfterTheMetadataWasLost},
	{"a false conflict", FalseConflict, aFalseConflict},
	{"a refused write that is there", GhostWrite, aRefusedWriteThatIsThere},
	{"a list of two revisions", UnevenPages, unevenPages},
	{"a repeated event", WatchOrder, repeatedEvent},
	{"an event of another namespace", GhostWrite, foreignEvent},
	{"progress above an event to come", WatchOrder, earlyProgress},
	{"a watcher that skips a part at its resumption", WatchGap, skippedAtResumption},
	{"a watch that lacks what another server wrote", WatchGap, anotherServersWrite},
	{"a get of an old version on another server", NotLinear, oldGetElsewhere},
	{"a get that still shows what was deleted", NotLinear, getOfDeleted},
	{"a conflict where nothing conflicts", NotLinear, aFalseConflict},
	{"a list below what another server told", BackwardRev, lowListElsewhere},
	{"a list below what it was asked for", BackwardRev, belowMinimum},
	{"a told revision that another server calls too large", BackwardRev, tooLargeElsewhere},
	{"a write below a revision that was told", BackwardRev, writeBelowList},
	{"a list without one of the databases", StaleRead, listWithoutAPart},
	{"one write with two revisions", ReusedRevision, writtenTwice},
	{"a value that nobody wrote", GhostWrite, strangeValue},
	{"an object that comes back", CameBack, comesBack},
	{"a delete that was acknowledged and is undone", LostWrite, undoneDelete},
	{"an update that two servers accept", LostWrite, overwritten},
}

// eraseCommit makes a history in which the store forgot a write: it is in no watch
// and no read. Reads of its key show what was there before.
func eraseCommit(h *history.History, rev int64, before *history.Item) {
	for _, s := range h.Streams {
		kept := s.Events[:0]
		for _, event := range s.Events {
			if event.Rev != rev {
				kept = append(kept, event)
			}
		}
		s.Events = kept
	}
	for _, op := range h.Ops {
		kept := op.Items[:0]
		for _, item := range op.Items {
			if item.Mod != rev {
				kept = append(kept, item)
			} else if before != nil {
				kept = append(kept, *before)
			}
		}
		op.Items = kept
	}
}

// an acknowledged create is nowhere to be found.
func aLostWrite(h *history.History) bool {
	final := h.Ops[len(h.Ops)-1]
	for _, item := range final.Items {
		for _, op := range h.Ops {
			if op.Rev == item.Mod && op.Kind == history.Create && op.Result == history.OK {
				eraseCommit(h, op.Rev, nil)
				return true
			}
		}
	}
	return false
}

// The same for an update: later writes stand on the older version.
func aLostUpdate(h *history.History) bool {
	for _, next := range h.Ops {
		if next.Kind != history.Update || next.Result != history.OK {
			continue
		}
		for _, lost := range h.Ops {
			if lost.Kind == history.Update && lost.Result == history.OK && lost.Rev == next.Expected {
				eraseCommit(h, lost.Rev, nil)
				next.Expected = lost.Expected
				return true
			}
		}
	}
	return false
}

// after a restart a number is used that was used before.
func aReusedRevision(h *history.History) bool {
	var first *history.Op
	for _, op := range h.Ops {
		if !op.Writes() || op.Result != history.OK {
			continue
		}
		if first == nil {
			first = op
		} else if op.Start > h.Marks[0].Time {
			op.Rev = first.Rev
			return true
		}
	}
	return false
}

// a watcher misses one event in the middle.
func aWatchGap(h *history.History) bool {
	for _, s := range h.Streams {
		for i := 1; i < len(s.Events)-1; i++ {
			if s.Events[i].Kind == history.Progress {
				continue
			}
			s.Events = append(s.Events[:i:i], s.Events[i+1:]...)
			return true
		}
	}
	return false
}

// two events change places.
func reorderedEvents(h *history.History) bool {
	for _, s := range h.Streams {
		for i := 2; i < len(s.Events); i++ {
			if s.Events[i].Rev != s.Events[i-1].Rev {
				s.Events[i], s.Events[i-1] = s.Events[i-1], s.Events[i]
				return true
			}
		}
	}
	return false
}

// a list's header is newer than its content.
func aStaleList(h *history.History) bool {
	var older *history.Op
	for _, op := range h.Ops {
		if op.Kind != history.List || op.At != 0 || op.Result != history.OK {
			continue
		}
		if older != nil && op.Rev > older.Rev && !sameItems(op, older) && op != h.Ops[len(h.Ops)-1] {
			op.Items = older.Items
			return true
		}
		older = op
	}
	return false
}

func aRevisionThatGoesBack(h *history.History) bool {
	for _, op := range h.Ops {
		if op.Kind == history.List && op.At == 0 && op.Result == history.OK && op.Rev > 50 {
			op.Rev, op.Items = 3, nil
			return true
		}
	}
	return false
}

func aForgottenRevision(h *history.History) bool {
	told := func(rev, before int64) bool {
		return slices.ContainsFunc(h.Ops, func(op *history.Op) bool {
			return op.At == 0 && op.Result == history.OK && op.Rev >= rev && op.End < before
		})
	}
	for _, op := range h.Ops {
		if op.Kind == history.List && op.At != 0 && op.Result == history.OK && told(op.At, op.Start) {
			op.Result, op.Code, op.Items = history.Failed, history.Future, nil
			return true
		}
	}
	return false
}

func aFalse410(h *history.History) bool {
	for _, s := range h.Streams {
		if s.End != 0 && s.Code == "" {
			s.Code = history.Compacted
			return true
		}
	}
	return false
}

func anOldRevisionAfterTheMetadataWasLost(h *history.History) bool {
	var old *history.Op
	for _, op := range h.Ops {
		if op.Kind == history.List && op.At != 0 && op.Result == history.OK {
			old = op
			break
		}
	}
	again := *old
	again.ID, again.Start, again.End = 1<<30, 1<<40, 1<<40+1
	h.Ops = append(h.Ops, &again)
	return true
}

func aFalseConflict(h *history.History) bool {
	final := h.Ops[len(h.Ops)-1]
	if len(final.Items) == 0 {
		return false
	}
	item := final.Items[0]
	for _, op := range h.Ops { // a write without an answer would excuse it
		if op.Writes() && op.Result == history.Unknown && op.Expected == item.Mod {
			return false
		}
	}
	start := final.End + 10*tick
	h.Ops = append(h.Ops, &history.Op{ID: 1 << 30, Kind: history.Update, Key: item.Key, Value: "never", Expected: item.Mod,
		Start: start, End: start + 1, Result: history.Failed, Code: history.Conflict})
	return true
}

func aRefusedWriteThatIsThere(h *history.History) bool {
	for _, op := range h.Ops {
		if op.Kind == history.Create && op.Result == history.OK {
			op.Result, op.Code, op.Rev = history.Failed, history.Other, 0
			return true
		}
	}
	return false
}

func sameItems(a, b *history.Op) bool {
	one, _ := json.Marshal(a.Items)
	two, _ := json.Marshal(b.Items)
	return bytes.Equal(one, two)
}
