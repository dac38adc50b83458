package checker

import (
	"slices"

	"github.com/libstorage/tests/history"
)

// Faults that several servers, several databases and outages can make.

// eachOK calls f with the successful calls of a kind until it returns true.
func eachOK(h *history.History, kind history.OpKind, f func(op *history.Op) bool) bool {
	return slices.ContainsFunc(h.Ops, func(op *history.Op) bool {
		return op.Kind == kind && op.Result == history.OK && f(op)
	})
}

// eachEvent calls f with each event of a kind until it returns true.
func eachEvent(h *history.History, kind history.EventKind, f func(s *history.Stream, i int) bool) bool {
	for _, s := range h.Streams {
		for i := range s.Events {
			if s.Events[i].Kind == kind && f(s, i) {
				return true
			}
		}
	}
	return false
}

func unevenPages(h *history.History) bool {
	return eachOK(h, history.List, func(op *history.Op) bool {
		if len(op.Pages) < 2 {
			return false
		}
		op.Pages[1]++
		return true
	})
}

func repeatedEvent(h *history.History) bool {
	return eachEvent(h, history.Put, func(s *history.Stream, i int) bool {
		s.Events = slices.Insert(s.Events, i, s.Events[i])
		return true
	})
}

func foreignEvent(h *history.History) bool {
	return eachEvent(h, history.Put, func(s *history.Stream, _ int) bool {
		s.Prefix = "elsewhere/"
		return true
	})
}

// earlyProgress: a mark says that all was delivered, and then comes the event.
func earlyProgress(h *history.History) bool {
	return eachEvent(h, history.Put, func(s *history.Stream, i int) bool {
		s.Events = slices.Insert(s.Events, i, history.Event{Kind: history.Progress, Rev: s.Events[i].Rev, Time: s.Events[i].Time})
		return true
	})
}

func skippedAtResumption(h *history.History) bool {
	last := map[int]*history.Stream{}
	for _, s := range h.Streams {
		before := last[s.Watcher]
		last[s.Watcher] = s
		if before == nil || before.Code == history.Compacted || len(s.Events) < 3 {
			continue
		}
		s.After = s.Events[0].Rev
		s.Events = s.Events[1:]
		return true
	}
	return false
}

// anotherServersWrite: the watches of one server lack a write of another one.
func anotherServersWrite(h *history.History) bool {
	return eachOK(h, history.Update, func(op *history.Op) bool {
		hit := false
		for _, s := range h.Streams {
			if s.Server == op.Server || s.Covers() <= op.Rev {
				continue
			}
			before := len(s.Events)
			s.Events = slices.DeleteFunc(s.Events, func(e history.Event) bool { return e.Rev == op.Rev })
			hit = hit || len(s.Events) < before
		}
		return hit
	})
}

// staleGet adds a get, on another server and after the call that replaced the version.
func staleGet(h *history.History, kind history.OpKind) bool {
	return eachOK(h, kind, func(op *history.Op) bool {
		for _, before := range h.Ops {
			if before.Result == history.OK && before.Rev == op.Expected && (before.Kind == history.Create || before.Kind == history.Update) {
				h.Ops = append(h.Ops, &history.Op{
					ID: 1 << 30, Kind: history.Get, Key: op.Key, Server: op.Server + 1, Start: op.End + 1, End: op.End + 2, Result: history.OK,
					Items: []history.Item{{Key: op.Key, Value: before.Value, Mod: before.Rev}},
				})
				return true
			}
		}
		return false
	})
}

func oldGetElsewhere(h *history.History) bool { return staleGet(h, history.Update) }

func getOfDeleted(h *history.History) bool { return staleGet(h, history.Delete) }

// lateList adds a list after a call, on another server.
func lateList(h *history.History, after *history.Op) *history.Op {
	op := &history.Op{
		ID: 1 << 30, Kind: history.List, Key: "nothing/", Server: after.Server + 1, Start: after.End + 1, End: after.End + 2,
		Result: history.OK, Rev: after.Rev,
	}
	h.Ops = append(h.Ops, op)
	return op
}

func lowListElsewhere(h *history.History) bool {
	return eachOK(h, history.Update, func(op *history.Op) bool {
		lateList(h, op).Rev--
		return true
	})
}

// belowMinimum: the minimum is what the list itself would have told at most.
func belowMinimum(h *history.History) bool {
	return eachOK(h, history.List, func(op *history.Op) bool {
		if op.At != 0 {
			return false
		}
		op.Min = op.Rev + 1
		return true
	})
}

func tooLargeElsewhere(h *history.History) bool {
	return eachOK(h, history.Update, func(op *history.Op) bool {
		late := lateList(h, op)
		late.Min, late.Rev, late.Result, late.Code = op.Rev, 0, history.Failed, history.Future
		return true
	})
}

// writeBelowList: a list told a revision above all writes, and a write that began
// after it gets a lower one.
func writeBelowList(h *history.History) bool {
	return eachOK(h, history.Create, func(op *history.Op) bool {
		h.Ops = append(h.Ops, &history.Op{
			ID: 1 << 30, Kind: history.List, Key: "nothing/", Start: op.Start - 3, End: op.Start - 2, Result: history.OK, Rev: op.Rev,
		})
		return true
	})
}

// listWithoutAPart: the objects of one database are not in it.
func listWithoutAPart(h *history.History) bool {
	return eachOK(h, history.List, func(op *history.Op) bool {
		part := slices.DeleteFunc(slices.Clone(op.Items), func(i history.Item) bool { return i.Key < "k/06" })
		if len(part) == len(op.Items) || op.Rev < 30 || op == h.Ops[len(h.Ops)-1] {
			return false
		}
		op.Items = part
		return true
	})
}

func writtenTwice(h *history.History) bool {
	return eachEvent(h, history.Put, func(s *history.Stream, i int) bool {
		again := s.Events[i]
		again.Rev = s.Last() + 1
		s.Events = append(s.Events, again)
		return true
	})
}

func strangeValue(h *history.History) bool {
	return eachEvent(h, history.Put, func(s *history.Stream, i int) bool {
		strange := s.Events[i]
		strange.Rev, strange.Value = h.Ops[len(h.Ops)-1].Rev+1, "corrupt value of 3 bytes"
		s.Events = append(s.Events, strange)
		return true
	})
}

// comesBack: a delete without an answer explains that an object is missing, and
// then not that it is there.
func comesBack(h *history.History) bool {
	final := h.Ops[len(h.Ops)-1]
	if len(final.Items) == 0 {
		return false
	}
	item := final.Items[0]
	after := func(by int64) int64 { return final.End + by }
	h.Ops = append(h.Ops,
		&history.Op{ID: 1<<30 + 1, Kind: history.Delete, Key: item.Key, Expected: item.Mod, Start: after(1), End: after(2), Result: history.Unknown},
		&history.Op{ID: 1<<30 + 2, Kind: history.List, Key: item.Key, Start: after(3), End: after(4), Result: history.OK, Rev: final.Rev + 5},
		&history.Op{ID: 1<<30 + 3, Kind: history.List, Key: item.Key, Start: after(5), End: after(6), Result: history.OK, Rev: final.Rev + 6,
			Items: []history.Item{item}})
	return true
}

// undoneDelete: it is acknowledged, and a later list has the object.
func undoneDelete(h *history.History) bool {
	final := h.Ops[len(h.Ops)-1]
	if len(final.Items) == 0 {
		return false
	}
	item := final.Items[0]
	h.Ops = append(h.Ops,
		&history.Op{ID: 1<<30 + 1, Kind: history.Delete, Key: item.Key, Expected: item.Mod, Start: final.End + 1, End: final.End + 2, Result: history.OK},
		&history.Op{ID: 1<<30 + 2, Kind: history.List, Key: item.Key, Start: final.End + 3, End: final.End + 4, Result: history.OK, Rev: final.Rev + 5,
			Items: []history.Item{item}})
	return true
}

// overwritten: two servers accept an update of one version, one after the other.
func overwritten(h *history.History) bool {
	final := h.Ops[len(h.Ops)-1]
	if len(final.Items) == 0 {
		return false
	}
	item := final.Items[0]
	for i := int64(1); i <= 2; i++ {
		h.Ops = append(h.Ops, &history.Op{
			ID: 1<<30 + int(i), Kind: history.Update, Key: item.Key, Value: "new" + string(rune('0'+i)), Expected: item.Mod, Server: int(i),
			Start: final.End + 10*i, End: final.End + 10*i + 1, Result: history.OK, Rev: final.Rev + i,
		})
	}
	return true
}
