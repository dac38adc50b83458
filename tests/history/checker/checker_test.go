package checker

import (
	"slices"
	"testing"

	"github.com/libstorage/tests/history"
)

func TestAcceptsGoodHistories(t *testing.T) {
	for seed := int64(0); seed < 200; seed++ {
		for _, v := range Check(simulate(seed, 400)) {
			t.Errorf("seed %d: %s", seed, v)
		}
	}
}

// TestRejectsBadHistories breaks good histories, and wants the rule among what is
// found.
func TestRejectsBadHistories(t *testing.T) {
	for _, bad := range badHistories {
		applied := 0
		for seed := int64(0); seed < 20; seed++ {
			h := simulate(seed, 400)
			if !bad.mutate(h) {
				continue
			}
			applied++
			if found := Check(h); !finds(found, bad.rule) {
				t.Errorf("%s, seed %d: want %q among %v", bad.name, seed, bad.rule, found)
			}
		}
		if applied < 5 {
			t.Errorf("%s could be seeded only %d times", bad.name, applied)
		}
	}
}

func finds(found []Violation, rule Rule) bool {
	return slices.ContainsFunc(found, func(v Violation) bool { return v.Rule == rule })
}

// TestEveryCheckIsNeeded: without it some bad history is not refused for its reason.
func TestEveryCheckIsNeeded(t *testing.T) {
	for _, check := range checks {
		needed := slices.ContainsFunc(badHistories, func(b badHistory) bool {
			for seed := int64(0); seed < 20; seed++ {
				h := simulate(seed, 400)
				if b.mutate(h) && !finds(checkWithout(h, check.name), b.rule) {
					return true
				}
			}
			return false
		})
		if !needed {
			t.Errorf("nothing needs the check of %s", check.name)
		}
	}
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
