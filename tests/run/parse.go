package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// Result of a suite, or of the part of it seen so far.
type Result struct {
	Passed  int
	Failed  []Failure
	Skipped []string // names
	Reused  bool     `json:"-"`
	Seconds float64
	CPU     float64 // seconds, of all processes that it waited for
}

// Failure is one failed test and the end of what it printed.
type Failure struct {
	Name    string
	Excerpt string
}

func (r *Result) tests() int { return r.Passed + len(r.Failed) + len(r.Skipped) }

func (r *Result) fail(name string, lines []string) {
	const most = 40
	if len(lines) > most {
		lines = append([]string{fmt.Sprintf("... %d lines before", len(lines)-most)}, lines[len(lines)-most:]...)
	}
	r.Failed = append(r.Failed, Failure{name, strings.Join(lines, "\n")})
}

// parser reads a suite's output line by line. line returns what belongs in the
// log; finish is called once, after the last line.
type parser interface {
	line(text string) string
	finish()
	result() *Result
}

func newParser(kind string) parser {
	switch kind {
	case "gtest":
		return &gtestParser{}
	case "gotest":
		return newGoParser()
	case "ctest":
		return &patternParser{pattern: ctestLine, verdict: ctestVerdict}
	case "tap":
		return &patternParser{pattern: tapLine, verdict: tapVerdict}
	case "exit", "build":
		return &patternParser{} // counted by its exit code alone
	}
	return nil
}

// --- googletest: several binaries one after another ---
type gtestParser struct {
	res   Result
	open  string // test that has begun
	lines []string
}

func (p *gtestParser) line(text string) string {
	if name, ok := strings.CutPrefix(text, "[ RUN      ] "); ok {
		p.finish()
		p.open, p.lines = name, nil
		return text
	}
	if p.open == "" {
		return text
	}
	p.lines = append(p.lines, text)
	for _, tag := range []string{"[       OK ] ", "[  FAILED  ] ", "[  SKIPPED ] "} {
		rest, ok := strings.CutPrefix(text, tag)
		if !ok || !strings.HasPrefix(rest, p.open) {
			continue
		}
		switch tag[3] {
		case ' ':
			p.res.Passed++
		case 'F':
			p.res.fail(p.open, p.lines)
		case 'S':
			p.res.Skipped = append(p.res.Skipped, p.open)
		}
		p.open = ""
	}
	return text
}

// finish: a test that began and never ended took its process with it.
func (p *gtestParser) finish() {
	if p.open != "" {
		p.res.fail(p.open+" (did not end)", p.lines)
		p.open = ""
	}
}
func (p *gtestParser) result() *Result { return &p.res }

// --- go test -json: leaves count, and parents that failed by themselves ---
type goParser struct {
	res    Result
	output map[string][]string
	failed map[string]bool // package/test with a failure at or below it
	parent map[string]bool
}

func newGoParser() *goParser {
	return &goParser{output: map[string][]string{}, failed: map[string]bool{}, parent: map[string]bool{}}
}

type goEvent struct{ Action, Package, Test, Output, ImportPath, FailedBuild string }

func (p *goParser) line(text string) string {
	var event goEvent
	if json.Unmarshal([]byte(text), &event) != nil {
		return text
	}
	id := event.Package + " " + event.Test
	switch event.Action {
	case "run":
		if at := strings.LastIndexByte(event.Test, '/'); at > 0 {
			p.parent[event.Package+" "+event.Test[:at]] = true
		}
	case "output", "build-output":
		if event.Package == "" {
			id = "build " + event.ImportPath
		}
		p.output[id] = append(p.output[id], strings.TrimRight(event.Output, "\n"))
		return strings.TrimRight(event.Output, "\n")
	case "pass":
		if event.Test != "" && !p.parent[id] {
			p.res.Passed++
		}
		delete(p.output, id)
	case "skip":
		if event.Test != "" && !p.parent[id] {
			p.res.Skipped = append(p.res.Skipped, event.Test)
		}
	case "build-fail":
		p.res.fail("build of "+event.ImportPath, p.output["build "+event.ImportPath])
	case "fail":
		if event.FailedBuild == "" { // else told by build-fail
			p.fail(event, id)
		}
	}
	return ""
}

func (p *goParser) fail(event goEvent, id string) {
	if !p.failed[id] {
		name := event.Test
		if name == "" {
			name = event.Package
		}
		p.res.fail(name, p.output[id])
	}
	for test := event.Test; ; {
		p.failed[event.Package+" "+test] = true
		if test == "" {
			return
		}
		test = test[:max(strings.LastIndexByte(test, '/'), 0)]
	}
}
func (p *goParser) finish()         {}
func (p *goParser) result() *Result { return &p.res }

// --- one line a test: ctest and TAP ---
var (
	ctestLine = regexp.MustCompile(`^\s*\d+/\d+ Test\s+#\d+: (\S+) \.*\s*(\S+)`)
	tapLine   = regexp.MustCompile(`^(ok|not ok)\b\s*\d*\s*-?\s*([^#]*)(# SKIP)?`)
)

func ctestVerdict(m []string) (name, verdict string) {
	switch {
	case m[2] == "Passed":
		return m[1], "pass"
	case strings.Contains(m[2], "Skipped"):
		return m[1], "skip"
	}
	return m[1], "fail"
}

func tapVerdict(m []string) (name, verdict string) {
	name = strings.TrimSpace(m[2])
	switch {
	case m[3] != "":
		return name, "skip"
	case m[1] == "ok":
		return name, "pass"
	}
	return name, "fail"
}

type patternParser struct {
	pattern *regexp.Regexp
	verdict func([]string) (string, string)
	res     Result
	lines   []string // since the last verdict
}

func (p *patternParser) line(text string) string {
	p.lines = append(p.lines, text)
	if p.pattern == nil {
		return text
	}
	match := p.pattern.FindStringSubmatch(text)
	if match == nil {
		return text
	}
	switch name, verdict := p.verdict(match); verdict {
	case "pass":
		p.res.Passed++
	case "skip":
		p.res.Skipped = append(p.res.Skipped, name)
	default:
		p.res.fail(name, p.lines)
	}
	p.lines = nil
	return text
}
func (p *patternParser) finish()         {}
func (p *patternParser) result() *Result { return &p.res }
