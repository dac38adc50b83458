package checker

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"

	"github.com/libstorage/tests/crash/history"
)

func TestAcceptsGoodHistories(t *testing.T) {
	for seed := int64(0); seed < 200; seed++ {
		for _, v := range Check(simulate(seed, 400)) {
			t.Errorf("seed %d: %s", seed, v)
		}
	}
}

// broken makes a good history, breaks it, and wants the rule among what is found.
func broken(t *testing.T, rule Rule, mutate func(h *history.History) bool) {
	t.Helper()
	applied := 0
	for seed := int64(0); seed < 20; seed++ {
		h := simulate(seed, 400)
		if !mutate(h) {
			continue
		}
		applied++
		found := Check(h)
		ok := false
		for _, v := range found {
			ok = ok || v.Rule == rule
		}
		if !ok {
			t.Errorf("seed %d: want %q among %v", seed, rule, found)
		}
	}
	if applied < 5 {
		t.Errorf("the fault could be seeded only %d times", applied)
	}
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

// 1: an acknowledged create is nowhere to be found.
func TestRejectsALostWrite(t *testing.T) {
	broken(t, LostWrite, func(h *history.History) bool {
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
	})
}

// The same for an update: later writes stand on the older version.
func TestRejectsALostUpdate(t *testing.T) {
	broken(t, LostWrite, func(h *history.History) bool {
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
	})
}

// 2: after a restart a number is used that was used before.
func TestRejectsAReusedRevision(t *testing.T) {
	broken(t, ReusedRevision, func(h *history.History) bool {
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
	})
}

// 3: a watcher misses one event in the middle.
func TestRejectsAWatchGap(t *testing.T) {
	broken(t, WatchGap, func(h *history.History) bool {
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
	})
}

// 4: two events change places.
func TestRejectsReorderedEvents(t *testing.T) {
	broken(t, WatchOrder, func(h *history.History) bool {
		for _, s := range h.Streams {
			for i := 2; i < len(s.Events); i++ {
				if s.Events[i].Rev != s.Events[i-1].Rev {
					s.Events[i], s.Events[i-1] = s.Events[i-1], s.Events[i]
					return true
				}
			}
		}
		return false
	})
}

// 5: a list's header is newer than its content.
func TestRejectsAStaleList(t *testing.T) {
	broken(t, StaleRead, func(h *history.History) bool {
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
	})
}

func sameItems(a, b *history.Op) bool {
	one, _ := json.Marshal(a.Items)
	two, _ := json.Marshal(b.Items)
	return bytes.Equal(one, two)
}

func TestRejectsARevisionThatGoesBack(t *testing.T) {
	broken(t, BackwardRev, func(h *history.History) bool {
		for _, op := range h.Ops {
			if op.Kind == history.List && op.At == 0 && op.Result == history.OK && op.Rev > 50 {
				op.Rev, op.Items = 3, nil
				return true
			}
		}
		return false
	})
}

func TestRejectsAForgottenRevision(t *testing.T) {
	broken(t, BackwardRev, func(h *history.History) bool {
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
	})
}

func TestRejectsAFalse410(t *testing.T) {
	broken(t, False410, func(h *history.History) bool {
		for _, s := range h.Streams {
			if s.End != 0 && s.Code == "" {
				s.Code = history.Compacted
				return true
			}
		}
		return false
	})
}

func TestAccepts410BelowTheFloor(t *testing.T) {
	h := simulate(1, 59)
	s := h.Streams[0]
	h.Marks = append(h.Marks, history.Mark{Kind: history.Compact, Time: s.Start, Rev: s.Last() + 1})
	s.End, s.Code = h.Ops[len(h.Ops)-1].End, history.Compacted
	for _, v := range Check(h) {
		t.Error(v)
	}
}

func TestRejectsAnOldRevisionAfterTheMetadataWasLost(t *testing.T) {
	broken(t, Missing410, func(h *history.History) bool {
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
	})
}

func TestRejectsAFalseConflict(t *testing.T) {
	broken(t, FalseConflict, func(h *history.History) bool {
		final := h.Ops[len(h.Ops)-1]
		if len(final.Items) == 0 {
			return false
		}
		item := final.Items[0]
		for _, op := range h.Ops { // a delete without an answer would excuse it
			if op.Kind == history.Delete && op.Result == history.Unknown && op.Expected == item.Mod {
				return false
			}
		}
		start := final.End + 10*tick
		h.Ops = append(h.Ops, &history.Op{ID: 1 << 30, Kind: history.Update, Key: item.Key, Value: "never", Expected: item.Mod,
			Start: start, End: start + 1, Result: history.Failed, Code: history.Conflict})
		return true
	})
}

func TestRejectsARefusedWriteThatIsThere(t *testing.T) {
	broken(t, GhostWrite, func(h *history.History) bool {
		for _, op := range h.Ops {
			if op.Kind == history.Create && op.Result == history.OK {
				op.Result, op.Code, op.Rev = history.Failed, history.Other, 0
				return true
			}
		}
		return false
	})
}

// A delete without an answer that nobody saw explains a missing object, but not
// one that comes back.
func TestADeleteThatNobodySaw(t *testing.T) {
	create := &history.Op{ID: 1, Kind: history.Create, Key: "k/a", Value: "v1", Start: 1, End: 2, Result: history.OK, Rev: 2}
	unsure := &history.Op{ID: 2, Kind: history.Delete, Key: "k/a", Expected: 2, Start: 3, End: 4, Result: history.Unknown}
	list := func(start, rev int64, items ...history.Item) *history.Op {
		return &history.Op{ID: int(start), Kind: history.List, Key: "k/", Start: start, End: start + 1, Result: history.OK, Rev: rev, Items: items}
	}
	item := history.Item{Key: "k/a", Value: "v1", Mod: 2}
	for _, v := range Check(&history.History{Ops: []*history.Op{create, unsure, list(5, 5)}}) {
		t.Error(v)
	}
	found := Check(&history.History{Ops: []*history.Op{create, unsure, list(5, 5), list(7, 6, item)}})
	if len(found) != 1 || found[0].Rule != CameBack {
		t.Errorf("want %q, got %v", CameBack, found)
	}
	found = Check(&history.History{Ops: []*history.Op{create, list(5, 5)}})
	if len(found) != 1 || found[0].Rule != LostWrite {
		t.Errorf("want %q, got %v", LostWrite, found)
	}
}
