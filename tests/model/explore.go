package model

import (
	"fmt"
	"time"
)

// Step is one action: what happened, to whom. A, B, C are small arguments
// whose meaning depends on the action (actions.go).
type Step struct {
	Act     Action
	A, B, C uint8
}

// Result of an exploration.
type Result struct {
	States, Steps, Depth int
	Elapsed              time.Duration
	Partial              bool   // stopped at MaxStates
	Broken               Law    // the law that broke; 0 = none
	Trace                []Step // shortest way there
	Covered              [numActions]int
}

func (r Result) String() string {
	note := ""
	if r.Partial {
		note = ", not all: stopped at the limit"
	}
	return fmt.Sprintf("%d states, %d steps, depth %d, %.1f s%s", r.States, r.Steps, r.Depth,
		r.Elapsed.Seconds(), note)
}

// explorer is a breadth-first search: the first trace to a broken law is a
// shortest one. Only fingerprints of visited states are kept; states live as
// long as they are on the frontier.
type explorer struct {
	c       *Scenario
	visit   func(*State)
	seen    *visited
	parent  []uint32
	step    []Step
	next    frontier
	edges   []uint32 // successors of each state, one after the other
	edgeEnd []uint32
	result  Result
}

// Explore visits every state of the scenario, or stops at the first broken law.
// visit sees each of them; it may be nil.
func Explore(c *Scenario, visit func(*State)) Result {
	begin := time.Now()
	e := &explorer{c: c, visit: visit, seen: newVisited()}
	init := c.Init()
	e.add(&init, 0, Step{})
	for level := e.take(); level.size > 0 && e.result.Broken == 0 && !e.result.Partial; level = e.take() {
		id := uint32(len(e.parent) - level.size)
		level.each(func(s *State) bool {
			id++
			return e.expand(s, id-1)
		})
		e.result.Depth++
	}
	if e.result.Broken == 0 && !e.result.Partial {
		if at, ok := e.cycle(); ok {
			e.fail(LawEnds, at)
		}
	}
	e.result.States = len(e.parent)
	e.result.Elapsed = time.Since(begin)
	return e.result
}

// frontier is the states of one depth, in chunks: they are never moved.
type frontier struct {
	chunks [][]State
	size   int
}

const chunk = 1 << 10

func (f *frontier) push(s *State) {
	if f.size%chunk == 0 {
		f.chunks = append(f.chunks, make([]State, 0, chunk))
	}
	last := &f.chunks[len(f.chunks)-1]
	*last = append(*last, *s)
	f.size++
}

// each calls visit until it says false; what was visited is forgotten.
func (f *frontier) each(visit func(*State) bool) {
	for n := range f.chunks {
		for i := range f.chunks[n] {
			if !visit(&f.chunks[n][i]) {
				return
			}
		}
		f.chunks[n] = nil
	}
}

func (e *explorer) take() frontier {
	level := e.next
	e.next = frontier{}
	return level
}

func (e *explorer) add(s *State, from uint32, step Step) uint32 {
	id, fresh := e.seen.add(fingerprint(s))
	if !fresh {
		return id
	}
	e.parent = append(e.parent, from)
	e.step = append(e.step, step)
	e.next.push(s)
	return id
}

// expand checks a state and adds its successors. False: a law broke.
func (e *explorer) expand(s *State, id uint32) bool {
	if law := Check(e.c, s); law != 0 {
		e.fail(law, id)
		return false
	}
	if e.visit != nil {
		e.visit(s)
	}
	progress := false
	Successors(e.c, s, func(step Step, t *State) {
		e.result.Steps++
		e.result.Covered[step.Act]++
		progress = progress || !step.Act.IsFault()
		e.edges = append(e.edges, e.add(t, id, step))
	})
	e.edgeEnd = append(e.edgeEnd, uint32(len(e.edges)))
	if !progress {
		if law := CheckEnd(e.c, s); law != 0 {
			e.fail(law, id)
			return false
		}
	}
	if len(e.parent) > e.c.MaxStates {
		if e.result.Partial = e.c.MayStop; !e.result.Partial {
			e.fail(LawBounded, id)
		}
		return false
	}
	return true
}

func (e *explorer) fail(law Law, id uint32) {
	e.result.Broken = law
	for ; id != 0; id = e.parent[id] {
		e.result.Trace = append(e.result.Trace, e.step[id])
	}
	for i, j := 0, len(e.result.Trace)-1; i < j; i, j = i+1, j-1 {
		e.result.Trace[i], e.result.Trace[j] = e.result.Trace[j], e.result.Trace[i]
	}
}

// cycle: with every action bounded the graph has none, so that every run ends;
// a state that is left after all others were peeled off is on one.
func (e *explorer) cycle() (uint32, bool) {
	in := make([]uint32, len(e.parent))
	for _, to := range e.edges {
		in[to]++
	}
	queue := []uint32{}
	if in[0] == 0 {
		queue = append(queue, 0)
	}
	peeled := 0
	for ; len(queue) > 0; peeled++ {
		id := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		begin := uint32(0)
		if id > 0 {
			begin = e.edgeEnd[id-1]
		}
		for _, to := range e.edges[begin:e.edgeEnd[id]] {
			if in[to]--; in[to] == 0 {
				queue = append(queue, to)
			}
		}
	}
	if peeled == len(e.parent) {
		return 0, false
	}
	for id, n := range in {
		if n > 0 {
			return uint32(id), true
		}
	}
	return 0, false
}
