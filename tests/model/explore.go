package model

import (
	"fmt"
	"time"
	"unsafe"
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
	Broken               Law    // the law that broke; 0 = none
	Trace                []Step // shortest way there
	Covered              [numActions]int
}

func (r Result) String() string {
	return fmt.Sprintf("%d states, %d steps, depth %d, %.1f s", r.States, r.Steps, r.Depth,
		r.Elapsed.Seconds())
}

// fingerprint: two independent 64-bit mixes of the bytes. A collision would
// hide a state; at a hundred million states its probability is below 1e-22.
func fingerprint(s *State) [2]uint64 {
	words := (*[unsafe.Sizeof(State{}) / 8]uint64)(unsafe.Pointer(s))
	a, b := uint64(0x9e3779b97f4a7c15), uint64(0xd1b54a32d192ed03)
	for _, w := range words {
		a = (a ^ w) * 0xff51afd7ed558ccd
		a ^= a >> 32
		b = (b + w) * 0xc4ceb9fe1a85ec53
		b ^= b >> 29
	}
	a ^= b >> 32
	return [2]uint64{a * 0x9fb21c651e98df25, b ^ a>>29}
}

// explorer is a breadth-first search: the first trace to a broken law is a
// shortest one. Only fingerprints of visited states are kept; states live as
// long as they are on the frontier.
type explorer struct {
	c       *Scenario
	visit   func(*State)
	seen    map[[2]uint64]uint32
	parent  []uint32
	step    []Step
	next    []State
	edges   []uint32 // successors of each state, one after the other
	edgeEnd []uint32
	result  Result
}

// Explore visits every state of the scenario, or stops at the first broken law.
// visit sees each of them; it may be nil.
func Explore(c *Scenario, visit func(*State)) Result {
	begin := time.Now()
	e := &explorer{c: c, visit: visit, seen: map[[2]uint64]uint32{}}
	init := c.Init()
	e.add(&init, 0, Step{})
	for frontier := e.take(); len(frontier) > 0 && e.result.Broken == 0; frontier = e.take() {
		base := len(e.parent) - len(frontier)
		for i := range frontier {
			if !e.expand(&frontier[i], uint32(base+i)) {
				break
			}
		}
		e.result.Depth++
	}
	if e.result.Broken == 0 {
		if at, ok := e.cycle(); ok {
			e.fail(LawEnds, at)
		}
	}
	e.result.States = len(e.parent)
	e.result.Elapsed = time.Since(begin)
	return e.result
}

func (e *explorer) take() []State {
	frontier := e.next
	e.next = nil
	return frontier
}

func (e *explorer) add(s *State, from uint32, step Step) uint32 {
	key := fingerprint(s)
	if id, ok := e.seen[key]; ok {
		return id
	}
	id := uint32(len(e.parent))
	e.seen[key] = id
	e.parent = append(e.parent, from)
	e.step = append(e.step, step)
	e.next = append(e.next, *s)
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
	if e.c.MaxStates > 0 && len(e.parent) > e.c.MaxStates {
		e.fail(LawBounded, id)
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
