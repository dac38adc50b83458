package checker

import (
	"fmt"
	"math/rand"
	"sort"

	"github.com/libstorage/tests/history"
)

// sim makes histories of a store of three servers that does everything right, with
// kills, a lost metadata store, calls without an answer, some of which take effect
// later, and watchers that resume.
type sim struct {
	rand  *rand.Rand
	h     *history.History
	now   int64
	rev   int64
	bound int64 // revisions up to here are of a lost history
	state map[string]history.Item
	past  map[int64][]history.Item // by revision: the whole state
	log   []history.Event          // every commit
	watch [3]*history.Stream
	late  []*history.Op // writes without an answer that may still arrive
	id    int
}

const tick = 1000

func simulate(seed int64, steps int) *history.History {
	s := &sim{
		rand: rand.New(rand.NewSource(seed)), h: &history.History{}, rev: 1, now: tick,
		state: map[string]history.Item{}, past: map[int64][]history.Item{},
	}
	s.openStreams(s.rev)
	for i := 1; i <= steps; i++ {
		s.now += tick
		s.step()
		if i%60 == 0 {
			s.crash(i%180 == 0)
		}
	}
	s.read(history.List, "k/", 0)
	s.deliver(len(s.log))
	return s.h
}

func (s *sim) step() {
	if len(s.late) > 0 && s.rand.Intn(3) == 0 {
		op := s.late[0]
		s.late = s.late[1:]
		if s.state[op.Key].Mod == op.Expected {
			s.land(op)
		}
	}
	key := fmt.Sprintf("k/%02d", s.rand.Intn(12))
	switch roll := s.rand.Intn(10); {
	case roll < 5:
		s.write(key, s.rand.Intn(12))
	case roll == 5:
		s.read(history.Get, key, 0)
	case roll == 6:
		op := s.read(history.List, "k/", 0)
		if s.rand.Intn(2) == 0 {
			op.Min = 1 + s.rand.Int63n(s.rev)
		}
		if len(op.Items) > 2 {
			op.Pages = []int64{op.Rev, op.Rev}
		}
	case roll == 7:
		s.read(history.List, "k/", s.bound+1+s.rand.Int63n(s.rev-s.bound))
	default:
		s.deliver(s.rand.Intn(5))
	}
}

// op begins and ends around now, so that calls overlap.
func (s *sim) op(kind history.OpKind, key string) *history.Op {
	s.id++
	op := &history.Op{
		ID: s.id, Kind: kind, Key: key, Result: history.OK, Server: s.rand.Intn(len(s.watch)),
		Start: s.now - s.rand.Int63n(3*tick), End: s.now + 1 + s.rand.Int63n(3*tick),
	}
	if n := len(s.h.Marks); n > 0 {
		op.Start = max(op.Start, s.h.Marks[n-1].Time+1)
	}
	s.h.Ops = append(s.h.Ops, op)
	return op
}

func (s *sim) commit(event history.Event) {
	s.log = append(s.log, event)
	items := make([]history.Item, 0, len(s.state))
	for _, item := range s.state {
		items = append(items, item)
	}
	sort.Slice(items, func(i, j int) bool { return items[i].Key < items[j].Key })
	s.past[s.rev] = items
}

// write: fate 0 is no answer, 1 a call that never arrived, 2 a stale expectation, 3 no
// answer and an effect that comes later.
func (s *sim) write(key string, fate int) {
	current, exists := s.state[key]
	if exists { // the writer has to know what it changes
		s.read(history.Get, key, 0).End = s.now
	}
	op := s.op(history.Create, key)
	if exists {
		op.Kind, op.Expected = history.Update, current.Mod
		if s.rand.Intn(3) == 0 {
			op.Kind = history.Delete
		}
	}
	if op.Kind != history.Delete {
		op.Value = fmt.Sprintf("v%d", op.ID)
	}
	if fate == 1 {
		op.Result = history.Unknown
		return
	}
	if fate == 2 && exists {
		op.Result, op.Code, op.Expected = history.Failed, history.Conflict, max(1, current.Mod-1)
		return
	}
	if fate == 3 {
		op.Result = history.Unknown
		s.late = append(s.late, op)
		return
	}
	op.Rev = s.land(op)
	if fate == 0 {
		op.Result, op.Rev = history.Unknown, 0
	}
}

// land a write.
func (s *sim) land(op *history.Op) (rev int64) {
	s.rev++
	event := history.Event{Kind: history.Put, Rev: s.rev, Key: op.Key, Value: op.Value, Time: s.now}
	if op.Kind == history.Delete {
		event.Kind, event.Value = history.Deleted, s.state[op.Key].Value
		delete(s.state, op.Key)
	} else {
		s.state[op.Key] = history.Item{Key: op.Key, Value: op.Value, Mod: s.rev}
	}
	s.commit(event)
	return s.rev
}

func (s *sim) read(kind history.OpKind, key string, at int64) *history.Op {
	op := s.op(kind, key)
	op.At, op.Rev = at, s.rev
	state := s.past[s.rev]
	if at != 0 {
		op.Rev = at
		for state = nil; at > 0 && state == nil; at-- {
			state = s.past[at]
		}
	}
	for _, item := range state {
		if kind == history.List || item.Key == key {
			op.Items = append(op.Items, item)
		}
	}
	if kind == history.Get && len(op.Items) == 0 {
		op.Result, op.Code = history.Failed, history.NotFound
	}
	return op
}

func (s *sim) openStreams(after int64) {
	for i := range s.watch {
		s.id++
		s.watch[i] = &history.Stream{ID: s.id, Watcher: i, Server: i, Prefix: "k/", After: after, Start: s.now}
		s.h.Streams = append(s.h.Streams, s.watch[i])
	}
}

// deliver gives each watcher up to most of the events that it has not had yet.
func (s *sim) deliver(most int) {
	for _, stream := range s.watch {
		last := stream.Last()
		first := sort.Search(len(s.log), func(i int) bool { return s.log[i].Rev > last })
		events := s.log[first:min(len(s.log), first+most)]
		for _, event := range events {
			event.Time = s.now
			stream.Events = append(stream.Events, event)
		}
		if len(events) > 0 && s.rand.Intn(4) == 0 {
			stream.Events = append(stream.Events, history.Event{Kind: history.Progress, Rev: stream.Last(), Time: s.now})
		}
	}
}

func (s *sim) crash(loseMeta bool) {
	s.h.Marks = append(s.h.Marks, history.Mark{Kind: history.Kill, Time: s.now + 1})
	for _, op := range s.h.Ops {
		if op.End > s.now {
			op.End, op.Result, op.Code, op.Rev, op.Items, op.Pages = s.now+1, history.Unknown, history.Other, 0, nil, nil
		}
	}
	last := [len(s.watch)]int64{}
	for i, stream := range s.watch {
		stream.End, last[i] = s.now+1, stream.Last()
	}
	s.now += 10 * tick
	if loseMeta {
		s.h.Marks = append(s.h.Marks, history.Mark{Kind: history.MetaLost, Time: s.now})
		s.bound, s.late = s.rev, nil
		s.rev += 1 << 32
		s.past[s.rev] = s.past[s.bound]
		s.bound = s.rev - 1
	}
	s.now += tick
	s.h.Marks = append(s.h.Marks, history.Mark{Kind: history.Ready, Time: s.now})
	s.now += tick
	s.openStreams(s.rev)
	for i, stream := range s.watch {
		stream.After = last[i]
		if loseMeta {
			stream.End, stream.Code = s.now, history.Compacted
		}
	}
	if loseMeta {
		s.openStreams(s.rev)
		s.read(history.List, "k/", 0)
	}
}
