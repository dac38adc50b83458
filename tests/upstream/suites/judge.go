package main

import (
	"fmt"
	"strings"
)

// Verdict is an entry of last.json.
type Verdict struct {
	Suite  string `json:"suite"`
	Test   string `json:"test"`
	Result string `json:"result"` // see below
	Reason string `json:"reason"`
}

// The results of a report. Only the first and the last two need attention.
const (
	failed        = "fail"
	passed        = "pass"
	notApplicable = "not applicable"
	failsOnEtcd   = "fails on etcd too"
	skipped       = "skipped by upstream"
	stale         = "stale"   // expected.txt says that it fails, and it does not
	unknown       = "unknown" // expected.txt knows a test that is not there
)

func bad(result string) bool { return result == failed || result == stale || result == unknown }

// Judge holds outcomes against the table. listed are the top-level tests that each
// suite's binary has, as far as it ran.
func Judge(outcomes []Outcome, expected []*Expectation, listed map[string][]string) []Verdict {
	var all []Verdict
	needed := map[*Expectation]bool{}
	ran := map[*Expectation]bool{}
	for _, o := range outcomes {
		verdict := Verdict{o.Suite, o.Test, passed, ""}
		var match *Expectation
		for _, e := range expected {
			if e.covers(o.Suite, o.Test) {
				match, ran[e] = e, true
				if e.Verdict == "na" && o.Result == "fail" || e.Verdict == "skip" && o.Result == "skip" {
					needed[e] = true
				}
			}
		}
		switch {
		case o.Result == "skip" && match != nil && match.Verdict == "skip":
			verdict.Result, verdict.Reason = skipped, match.Reason
		case o.Result == "skip":
			verdict.Result, verdict.Reason = failed, "skipped, and expected.txt does not say why: "+lastLines(o.Output, 3)
		case o.Result == "fail" && match != nil && match.Verdict == "na":
			verdict.Result, verdict.Reason = notApplicable, match.Reason
		case o.Result == "fail" && o.OnEtcd == "fail":
			verdict.Result, verdict.Reason = failsOnEtcd, "the same test failed on etcd in the same run"
		case o.Result == "fail":
			verdict.Result, verdict.Reason = failed, lastLines(o.Output, 40)
		}
		all = append(all, verdict)
	}
	return append(all, surplus(expected, ran, needed, listed)...)
}

// surplus are the lines of the table that nothing needs any more.
func surplus(expected []*Expectation, ran, needed map[*Expectation]bool, listed map[string][]string) []Verdict {
	var all []Verdict
	for _, e := range expected {
		top, _, _ := strings.Cut(e.Test, "/")
		tests, asked := listed[e.Suite]
		switch {
		case ran[e] && !needed[e]:
			all = append(all, Verdict{e.Suite, e.Test, stale,
				fmt.Sprintf("expected.txt calls it %q, but no test of that name needs it: take the line out", e.Verdict)})
		case asked && !contains(tests, top) && top != wholePackage:
			all = append(all, Verdict{e.Suite, e.Test, unknown, "expected.txt names a test that the suite does not have"})
		}
	}
	return all
}

func contains(all []string, one string) bool {
	for _, s := range all {
		if s == one {
			return true
		}
	}
	return false
}

func lastLines(text string, most int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) > most {
		lines = lines[len(lines)-most:]
	}
	return strings.Join(lines, "\n")
}
