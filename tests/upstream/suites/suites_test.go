package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestTables reads the ones of the repository: they must parse, and agree.
func TestTables(t *testing.T) {
	shards, err := ReadShards("../shards.conf")
	if err != nil {
		t.Fatal(err)
	}
	suites := map[string]bool{}
	for _, s := range shards {
		for _, pkg := range s.Packages {
			suites[suiteOf(pkg)] = true
		}
	}
	expected, err := ReadExpected("../expected.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range expected {
		if !suites[e.Suite] {
			t.Errorf("expected.txt: no shard has the suite %s", e.Suite)
		}
	}
	part := &Shard{Run: "^TestA", Skip: "^TestAB"}
	if !part.wants("TestAC") || part.wants("TestABC") || part.wants("TestC") {
		t.Error("run and skip do not choose as they should")
	}
	if ci, err := Choose(shards, []string{"ci"}); err != nil || len(ci) == 0 || ci[0].Run == "" {
		t.Errorf("the part for CI: %v, %v", ci, err)
	}
	if _, err := Choose(shards, []string{"no-such"}); err == nil {
		t.Error("a shard that is not there was found")
	}
}

func TestWrongTables(t *testing.T) {
	for _, text := range []string{
		"package: a", "shard: a\n", "shard: a\npackage: p\nshard: a\npackage: q", "shard: a\npackage: p\nlimit: soon",
		"shard: a\npackage: p\nrun: (", "shard: a\npackage: p\ncolour: red", "shard: ci\npackage: p",
	} {
		if _, err := ReadShards(write(t, text)); err == nil {
			t.Errorf("accepted as shards: %q", text)
		}
	}
	for _, text := range []string{"s T na because", "s T flaky it fails now and then", "s T"} {
		if _, err := ReadExpected(write(t, text)); err == nil {
			t.Errorf("accepted as expectations: %q", text)
		}
	}
}

// events makes test2json's lines of "action test" words.
func events(words ...string) io.Reader {
	var text strings.Builder
	for _, word := range words {
		action, test, _ := strings.Cut(word, " ")
		text.WriteString(`{"Action":"` + action + `","Test":"` + test + `","Output":"said ` + test + `\n"}` + "\n")
	}
	return strings.NewReader(text.String())
}

func TestOutcomes(t *testing.T) {
	for _, tc := range []struct {
		name, want string
		events     []string
	}{
		{"leaves", "T/a:pass T/b:fail",
			[]string{"run T", "run T/a", "run T/b", "pass T/a", "output T/b", "fail T/b", "fail T", "fail"}},
		{"a parent by itself", "T:fail T/a:pass", []string{"run T", "run T/a", "pass T/a", "fail T", "fail"}},
		{"a crash", "S:pass T:fail", []string{"run S", "pass S", "run T", "fail"}},
		{"outside of tests", "(package):fail T:pass", []string{"run T", "pass T", "fail"}},
		{"skips", "T/a:skip", []string{"run T", "run T/a", "skip T/a", "pass T", "pass"}},
	} {
		c := newCollector("s")
		if err := c.read(events(tc.events...), io.Discard); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, o := range c.outcomes() {
			got = append(got, o.Test+":"+o.Result)
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%s: got %v, want %s", tc.name, got, tc.want)
		}
	}
}

func TestJudge(t *testing.T) {
	expected, err := ReadExpected(write(t, `
s Foreign na it starts a server of its own
s Mixed na some of its parts want another database
s Skips skip upstream leaves it out here
s Fixed na this one does not fail any more
s Gone na upstream has taken this test away
other Away na of a suite that did not run
`))
	if err != nil {
		t.Fatal(err)
	}
	outcomes := []Outcome{
		{Suite: "s", Test: "Good", Result: "pass"},
		{Suite: "s", Test: "Bad", Result: "fail", OnEtcd: "pass"},
		{Suite: "s", Test: "Flaky", Result: "fail", OnEtcd: "fail"},
		{Suite: "s", Test: "Unasked", Result: "fail"},
		{Suite: "s", Test: "Foreign", Result: "fail"},
		{Suite: "s", Test: "Foreigner", Result: "fail"},
		{Suite: "s", Test: "Mixed/a", Result: "pass"},
		{Suite: "s", Test: "Mixed/b", Result: "fail"},
		{Suite: "s", Test: "Skips", Result: "skip"},
		{Suite: "s", Test: "SkipsToo", Result: "skip"},
		{Suite: "s", Test: "Fixed", Result: "pass"},
	}
	want := map[string]string{
		"Good": passed, "Bad": failed, "Flaky": failsOnEtcd, "Unasked": failed, "Foreign": notApplicable,
		"Foreigner": failed, "Mixed/a": passed, "Mixed/b": notApplicable, "Skips": skipped, "SkipsToo": failed,
		"Fixed": stale, "Gone": unknown,
	}
	listed := []string{"Good", "Bad", "Flaky", "Unasked", "Foreign", "Foreigner", "Mixed", "Skips", "SkipsToo", "Fixed"}
	got := map[string]string{}
	for _, v := range Judge(outcomes, expected, map[string][]string{"s": listed}) {
		got[v.Test] = v.Result
		if v.Result != passed && v.Result != failed && v.Reason == "" {
			t.Errorf("%s: %s without a reason", v.Test, v.Result)
		}
	}
	for test, result := range want {
		if got[test] != result {
			t.Errorf("%s: got %q, want %q", test, got[test], result)
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %v", got)
	}
}

func TestMergeReport(t *testing.T) {
	earlier := []Verdict{{"s", "T/old", failed, "x"}, {"s", "T", stale, "x"}, {"s", "Gone", unknown, "x"}, {"s", "U", passed, ""}}
	all := mergeReport(earlier, []Verdict{{"s", "T/new", passed, ""}})
	if len(all) != 2 || all[0].Test != "T/new" || all[1].Test != "U" {
		t.Errorf("got %v", all)
	}
}
