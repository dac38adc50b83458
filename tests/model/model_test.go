package model

import (
	"os"
	"strconv"
	"sync"
	"testing"
)

// whole explores a scope with all rules once, whoever asks first.
type whole struct {
	once   sync.Once
	result Result
	ends   ends
}

// ends counts what became of operations and reads, in all states.
type ends struct {
	outcome [5]int
	read    [5]int
}

var wholes sync.Map

func exploreWhole(c *Scenario) *whole {
	all := *c
	all.Rules = AllRules
	found, _ := wholes.LoadOrStore(c.Name+string(rune(len(c.Reads))), &whole{})
	w := found.(*whole)
	w.once.Do(func() {
		w.result = Explore(&all, func(s *State) {
			for i := range all.Ops {
				w.ends.outcome[s.Op[i].Outcome]++
			}
			for r := range all.Reads {
				w.ends.read[s.Rd[r].PC]++
			}
		})
	})
	return w
}

// holds: no law breaks in the whole scope.
func holds(t *testing.T, c *Scenario) {
	t.Helper()
	all := *c
	all.Rules = AllRules
	r := exploreWhole(&all).result
	t.Logf("with all rules: %v", r)
	if r.Broken != 0 {
		s, _, err := Replay(&all, r.Trace)
		t.Errorf("broken: %v (replay: %v)\n%v", r.Broken, err, s)
	}
}

// breaks: without its rules one of the mutation's laws breaks, on a trace that
// can be replayed.
func breaks(t *testing.T, m Mutation) {
	t.Helper()
	r := Explore(m.Scope, nil)
	if r.Broken == 0 {
		t.Fatalf("without %v nothing breaks: %v", m.Out, r)
	}
	s, last, err := Replay(m.Scope, r.Trace)
	if err != nil {
		t.Fatalf("the trace cannot be replayed: %v", err)
	}
	if r.Broken != LawStuck && Check(m.Scope, &last) != r.Broken {
		t.Errorf("replayed, the trace ends with %v, not with %v", Check(m.Scope, &last), r.Broken)
	}
	expected := false
	for _, law := range m.Laws {
		expected = expected || law == r.Broken
	}
	if !expected {
		t.Errorf("broken: %v, expected one of %v", r.Broken, m.Laws)
	}
	t.Logf("without %v: %q breaks after %d steps (%v)\n%v", m.Out, r.Broken, len(r.Trace), r, s)
}

func TestScenarios(t *testing.T) {
	for _, c := range Scenarios() {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			holds(t, c)
		})
	}
	full := os.Getenv("MODEL_FULL")
	if full == "" {
		return
	}
	millions, err := strconv.Atoi(full)
	if err != nil || millions < 1 {
		t.Fatalf("MODEL_FULL=%q: expected how many million states a larger scope may have", full)
	}
	for _, c := range Larger(millions * 1_000_000) { // one at a time: gigabytes
		t.Run(c.Name, func(t *testing.T) { holds(t, c) })
	}
}

// Each counterexample: the rules hold in the whole scope, and without the rule
// that it became, a law breaks.
func TestCounterexamples(t *testing.T) { mutate(t, Counterexamples()) }

func TestRules(t *testing.T) { mutate(t, Others()) }

func mutate(t *testing.T, all []Mutation) {
	for _, m := range all {
		t.Run(m.Number+" "+m.Name, func(t *testing.T) {
			t.Parallel()
			holds(t, m.Scope)
			breaks(t, m)
		})
	}
}

// What stands behind another rule is known: a change of the model or of the
// protocol that ends this is noticed.
func TestDefences(t *testing.T) {
	for _, m := range Defences() {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			if r := Explore(m.Scope, nil); r.Broken != 0 {
				s, _, err := Replay(m.Scope, r.Trace)
				t.Errorf("without %v: %v (replay: %v)\n%v", m.Out, r.Broken, err, s)
			} else {
				t.Logf("without %v: %v", m.Out, r)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	for _, m := range Limits() {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			breaks(t, m)
		})
	}
}

func TestEveryRuleIsTakenOutSomewhere(t *testing.T) {
	var out [numRules]bool
	for _, list := range [][]Mutation{Counterexamples(), Others(), Defences()} {
		for _, m := range list {
			for _, rule := range m.Out {
				out[rule] = true
			}
		}
	}
	for rule, seen := range out {
		if !seen {
			t.Errorf("no test takes out %v", Rule(rule))
		}
	}
}

// A law that no state could break, an action that never happens or an outcome
// that nobody sees would prove nothing.
func TestNothingIsVacuous(t *testing.T) {
	var covered [numActions]int
	var total ends
	for _, c := range Scenarios() {
		w := exploreWhole(c)
		for a, n := range w.result.Covered {
			covered[a] += n
		}
		for i := range w.ends.outcome {
			total.outcome[i] += w.ends.outcome[i]
			total.read[i] += w.ends.read[i]
		}
	}
	for a := None + 1; a < numActions; a++ {
		// Only without their rules: a lock that is asked for with a snapshot
		// in hand, a resolve that is joined late, a start that reads too early.
		if covered[a] == 0 && a != Ask && a != JoinResolve && a != StartRead {
			t.Errorf("%v never happens", a)
		}
	}
	for i := range total.outcome {
		if total.outcome[i] == 0 || total.read[i] == 0 {
			t.Errorf("outcome %q or read %q never happens", outcomeNames[i], readNames[i])
		}
	}
	broken := map[Law]bool{LawEnds: true, LawBounded: true}
	for _, list := range [][]Mutation{Counterexamples(), Others()} {
		for _, m := range list {
			for _, law := range m.Laws {
				broken[law] = true
			}
		}
	}
	for law := LawUnique; law < numLaws; law++ {
		if !broken[law] {
			t.Errorf("no mutation is meant to break: %v", law)
		}
	}
}
