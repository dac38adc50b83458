package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func parse(kind string, lines ...string) *Result {
	p := newParser(kind)
	for _, line := range lines {
		p.line(line)
	}
	p.finish()
	return p.result()
}

func TestParsers(t *testing.T) {
	cases := []struct {
		name, kind string
		lines      []string
		want       string // counts, then names of failures
	}{
		{"gtest", "gtest", []string{"[ RUN      ] A.B", "[       OK ] A.B (0 ms)", "[ RUN      ] A.C", "why", "[  FAILED  ] A.C (3 ms)",
			"[ RUN      ] A.D", "[  SKIPPED ] A.D (0 ms)", "[  PASSED  ] 1 test.", "[  FAILED  ] 1 test, listed below:", "[  FAILED  ] A.C"},
			"1 passed, 1 failed, 1 skipped: A.C"},
		{"gtest parameter", "gtest", []string{"[ RUN      ] P/A.B/0", "[  FAILED  ] P/A.B/0, where GetParam() = 1 (3 ms)"}, "0 passed, 1 failed, 0 skipped: P/A.B/0"},
		{"gtest crash", "gtest", []string{"[ RUN      ] A.B", "Segmentation fault"}, "0 passed, 1 failed, 0 skipped: A.B (did not end)"},
		{"gtest crash, next binary", "gtest", []string{"[ RUN      ] A.B", "[ RUN      ] C.D", "[       OK ] C.D (0 ms)"},
			"1 passed, 1 failed, 0 skipped: A.B (did not end)"},
		{"go leaves", "gotest", []string{`{"Action":"run","Package":"p","Test":"T"}`, `{"Action":"run","Package":"p","Test":"T/a"}`,
			`{"Action":"pass","Package":"p","Test":"T/a"}`, `{"Action":"pass","Package":"p","Test":"T"}`, `{"Action":"pass","Package":"p"}`},
			"1 passed, 0 failed, 0 skipped"},
		{"go failure once", "gotest", []string{`{"Action":"run","Package":"p","Test":"T/a"}`, `{"Action":"fail","Package":"p","Test":"T/a"}`,
			`{"Action":"fail","Package":"p","Test":"T"}`, `{"Action":"fail","Package":"p"}`}, "0 passed, 1 failed, 0 skipped: T/a"},
		{"go parent fails alone", "gotest", []string{`{"Action":"run","Package":"p","Test":"T/a"}`, `{"Action":"pass","Package":"p","Test":"T/a"}`,
			`{"Action":"fail","Package":"p","Test":"T"}`, `{"Action":"fail","Package":"p"}`}, "1 passed, 1 failed, 0 skipped: T"},
		{"go build", "gotest", []string{`{"Action":"output","Package":"p","Output":"x.go:1: bad\n"}`, `{"Action":"fail","Package":"p"}`},
			"0 passed, 1 failed, 0 skipped: p"},
		{"go skip", "gotest", []string{`{"Action":"skip","Package":"p","Test":"T"}`, `{"Action":"skip","Package":"q"}`}, "0 passed, 0 failed, 1 skipped"},
		{"ctest", "ctest", []string{"1/3 Test #1: a ....   Passed    0.00 sec", "2/3 Test #2: b ....***Failed    0.00 sec", " 3/3 Test  #3: c_d ....***Skipped   0.00 sec"},
			"1 passed, 1 failed, 1 skipped: b"},
		{"tap", "tap", []string{"TAP version 13", "ok 1 - a b", "not ok 2 - c", "ok 3 - d # SKIP no disk"}, "1 passed, 1 failed, 1 skipped: c"},
	}
	for _, c := range cases {
		res := parse(c.kind, c.lines...)
		got := counts(res)
		for _, failure := range res.Failed {
			got += ": " + failure.Name
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// runConf runs a suites file in a scratch repository and returns the exit code and the results.
func runConf(t *testing.T, conf, skips string) (int, map[string]*Result) {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{"out", "logs"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"suites.conf": conf, "skips.txt": skips} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	suites, err := ReadSuites(filepath.Join(root, "suites.conf"), "sample", 2)
	if err != nil {
		t.Fatal(err)
	}
	allowed, err := ReadSkips(filepath.Join(root, "skips.txt"))
	if err != nil {
		t.Fatal(err)
	}
	scheduler := &Scheduler{Root: root, Logs: filepath.Join(root, "logs"), Done: filepath.Join(root, "out"), Cores: 2}
	results, err := scheduler.Run(suites)
	if err != nil {
		t.Fatal(err)
	}
	return report(suites, results, allowed, time.Second), results
}

func TestVerdicts(t *testing.T) {
	cases := []struct {
		name, conf, skips string
		code              int
		want              string // of suite x
	}{
		{"exit ok", "suite: x\nrun: true", "", 0, "1 passed, 0 failed, 0 skipped"},
		{"exit bad", "suite: x\nrun: false", "", 1, "0 passed, 1 failed, 0 skipped"},
		{"no tests", "suite: x\nparse: tap\nrun: echo hello", "", 1, "0 passed, 1 failed, 0 skipped"},
		{"passes, then exits 1", "suite: x\nparse: tap\nrun: echo ok 1 - a; exit 1", "", 1, "1 passed, 1 failed, 0 skipped"},
		{"time limit", "suite: x\nlimit: 200ms\nrun: sleep 60", "", 1, "0 passed, 1 failed, 0 skipped"},
		{"skip not allowed", "suite: x\nparse: tap\nrun: echo 'ok 1 - a # SKIP'", "", 1, "0 passed, 0 failed, 1 skipped"},
		{"skip allowed", "suite: x\nparse: tap\nrun: echo 'ok 1 - a # SKIP'", "x a because", 0, "0 passed, 0 failed, 1 skipped"},
		{"need failed", "suite: b\nparse: build\nrun: false\nsuite: x\nneeds: b\nrun: true", "", 1, "0 passed, 1 failed, 0 skipped"},
		{"need passed", "suite: b\nparse: build\nslots: all\nrun: true\nsuite: x\nneeds: b\nrun: true", "", 0, "1 passed, 0 failed, 0 skipped"},
		{"a child that stays holds nobody up", "suite: x\nrun: sleep 60 & true", "", 0, "1 passed, 0 failed, 0 skipped"},
	}
	for _, c := range cases {
		began := time.Now()
		code, results := runConf(t, c.conf, c.skips)
		if got := counts(results["x"]); got != c.want || code != c.code {
			t.Errorf("%s: got %q, exit %d; want %q, exit %d", c.name, got, code, c.want, c.code)
		}
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("%s took %s", c.name, took)
		}
	}
}

// Suites that wait count half: three of them run on two cores, and nobody beside them who
// would keep one busy.
func TestSuitesThatWaitShareCores(t *testing.T) {
	// None ends before all have looked: x may start beside the two that are left.
	meet := `all() { [ -e $1a ] && [ -e $1b ] && [ -e $1c ]; }; touch $NAME; until all ''; do sleep 0.01; done; ` +
		`sleep 0.2; test ! -e busy && touch looked-$NAME; until all looked-; do sleep 0.01; done`
	conf := ""
	for _, name := range []string{"a", "b", "c"} {
		conf += "suite: " + name + "\nwaits: true\nlimit: 20s\nenv: NAME=" + name + "\nrun: " + meet + "\n"
	}
	conf += "suite: x\nrun: touch busy\n"
	if code, results := runConf(t, conf, ""); code != 0 {
		t.Errorf("exit %d: %v", code, results)
	}
}

func TestBadSuitesAreRefused(t *testing.T) {
	for _, conf := range []string{"run: x", "suite: a", "suite: a\nrun: x\nneeds: b", "suite: a\nrun: x\nparse: guess",
		"suite: a\nrun: x\nsuite: a\nrun: y", "suite: a\nrun: x\nfoo: y", "suite: a\nrun x"} {
		path := filepath.Join(t.TempDir(), "suites.conf")
		if err := os.WriteFile(path, []byte(conf), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadSuites(path, "sample", 2); err == nil || !strings.Contains(err.Error(), "suites.conf") {
			t.Errorf("%q: want an error that names the file, got %v", conf, err)
		}
	}
}
