package main

import (
	"bufio"
	"encoding/json"
	"io"
	"sort"
	"strings"
)

// Outcome of one test, as its binary reported it.
type Outcome struct {
	Suite  string `json:"suite"`
	Test   string `json:"test"`
	Result string `json:"result"` // pass, fail or skip
	Output string `json:"output,omitempty"`
	OnEtcd string `json:"onEtcd,omitempty"` // of a failed test: pass or fail, on etcd in the same run
}

// wholePackage is the name of what goes wrong outside of all tests.
const wholePackage = "(package)"

// collector reads the events of one package's tests, of several runs.
type collector struct {
	suite   string
	results map[string]string // by test
	output  map[string][]string
}

func newCollector(suite string) *collector {
	return &collector{suite: suite, results: map[string]string{}, output: map[string][]string{}}
}

const keptLines = 60

// read takes what test2json writes.
func (c *collector) read(from io.Reader, log io.Writer) error {
	reader := bufio.NewReader(from)
	for {
		line, err := reader.ReadBytes('\n')
		var event struct{ Action, Test, Output string }
		if len(line) > 0 && json.Unmarshal(line, &event) == nil {
			c.event(event.Action, event.Test, event.Output, log)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (c *collector) event(action, test, output string, log io.Writer) {
	if test == "" {
		test = wholePackage
	}
	switch action {
	case "output":
		_, _ = io.WriteString(log, output)
		lines := append(c.output[test], output)
		if len(lines) > keptLines {
			lines = lines[len(lines)-keptLines:]
		}
		c.output[test] = lines
	case "run":
		c.results[test] = "" // until it ends
	case "pass", "fail", "skip":
		c.results[test] = action
	}
}

// finished tells which top-level tests need not run again: all that began.
func (c *collector) finished(test string) bool {
	_, began := c.results[test]
	return began
}

// outcomes are those of the leaves, and of parents that failed by themselves.
func (c *collector) outcomes() []Outcome {
	parents, broken := map[string]bool{}, map[string]bool{}
	for test, result := range c.results {
		for at := strings.LastIndexByte(test, '/'); at > 0; at = strings.LastIndexByte(test[:at], '/') {
			parents[test[:at]] = true
			if result == "fail" || result == "" {
				broken[test[:at]] = true
			}
		}
	}
	var all []Outcome
	failures := 0
	for test, result := range c.results {
		if test == wholePackage || parents[test] && (result == "pass" || result == "skip" || broken[test]) {
			continue
		}
		one := Outcome{Suite: c.suite, Test: test, Result: result}
		if result == "" {
			one.Result = "fail"
			one.Output = "did not end\n"
		}
		if one.Result != "pass" {
			one.Output += strings.Join(c.output[test], "")
		}
		if one.Result == "fail" {
			failures++
		}
		all = append(all, one)
	}
	if c.results[wholePackage] == "fail" && failures == 0 {
		all = append(all, Outcome{Suite: c.suite, Test: wholePackage, Result: "fail",
			Output: strings.Join(c.output[wholePackage], "")})
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Test < all[j].Test })
	return all
}
