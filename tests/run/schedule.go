package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Scheduler runs suites in file order, as many at a time as there are cores.
type Scheduler struct {
	Root, Logs string
	Done       string // directory of results by content hash
	Resume     bool   // reuse those results
	Cores      int
	Env        []string
	Interrupt  <-chan os.Signal

	results  map[string]*Result
	finished chan *running
	active   map[*running]bool
	total    int
}

// Run returns the result of each suite, by name.
func (s *Scheduler) Run(suites []*Suite) (map[string]*Result, error) {
	s.results, s.total = map[string]*Result{}, len(suites)
	s.finished, s.active = make(chan *running), map[*running]bool{}
	waiting := append([]*Suite(nil), suites...)
	tick := time.NewTicker(30 * time.Second)
	defer tick.Stop()
	for {
		waiting = s.launch(waiting)
		if len(s.active) == 0 {
			return s.results, nil
		}
		select {
		case <-s.Interrupt:
			for r := range s.active {
				fmt.Printf("interrupted: stopping %s\n", r.suite.Name)
				r.signal(syscall.SIGKILL)
			}
			return s.results, fmt.Errorf("interrupted")
		case <-tick.C:
			s.status()
		case r := <-s.finished:
			delete(s.active, r)
			s.record(r.suite, r.parser.result())
		}
	}
}

// launch starts what can run now and returns what still waits. A suite that
// waits for cores is not overtaken: file order is the plan.
func (s *Scheduler) launch(waiting []*Suite) (left []*Suite) {
	for i, suite := range waiting {
		verdict := s.needs(suite)
		switch {
		case verdict == "wait":
			left = append(left, suite)
		case verdict == "" && s.load()+suite.Load() > 2*s.Cores:
			return append(left, waiting[i:]...)
		case verdict != "":
			res := &Result{}
			res.fail(suite.Name+": not run: "+verdict+" failed", nil)
			s.record(suite, res)
		case s.reuse(suite):
		default:
			r := start(suite, s.Root, s.Logs, s.Env)
			s.active[r] = true
			go func() { <-r.done; s.finished <- r }()
		}
	}
	if len(left) < len(waiting) {
		return s.launch(left) // what was recorded at once may have freed others
	}
	return left
}

func (s *Scheduler) load() (halves int) {
	for r := range s.active {
		halves += r.suite.Load()
	}
	return halves
}

// needs: "" all passed, "wait", or the name of one that failed.
func (s *Scheduler) needs(suite *Suite) string {
	for _, need := range suite.Needs {
		res, done := s.results[need]
		if !done {
			return "wait"
		}
		if len(res.Failed) > 0 {
			return need
		}
	}
	return ""
}

func (s *Scheduler) reuse(suite *Suite) bool {
	if !s.Resume || suite.Parser == "build" {
		return false
	}
	text, err := os.ReadFile(s.resultPath(suite))
	if err != nil {
		return false
	}
	res := &Result{}
	if json.Unmarshal(text, res) != nil {
		return false
	}
	res.Reused = true
	s.record(suite, res)
	return true
}

func (s *Scheduler) resultPath(suite *Suite) string {
	return filepath.Join(s.Done, suite.Name+"-"+contentHash(s.Root, suite)+".json")
}

func (s *Scheduler) record(suite *Suite, res *Result) {
	s.results[suite.Name] = res
	verdict := "ok  "
	if len(res.Failed) > 0 {
		verdict = "FAIL"
	}
	note := ""
	if res.Reused {
		note = ", from an earlier run of the same content"
	}
	fmt.Printf("[%2d/%d] %s %-22s %s in %s%s\n", len(s.results), s.total, verdict, suite.Name, counts(res), clock(res.Seconds), note)
	for _, failure := range res.Failed {
		fmt.Printf("        FAILED %s\n", failure.Name)
	}
	if len(res.Failed) == 0 && !res.Reused && suite.Parser != "build" {
		if text, err := json.Marshal(res); err == nil {
			_ = os.WriteFile(s.resultPath(suite), text, 0o644)
		}
	}
}

func (s *Scheduler) status() {
	var parts []string
	for r := range s.active {
		passed, failed := r.soFar()
		part := fmt.Sprintf("%s %s", r.suite.Name, clock(time.Since(r.started).Seconds()))
		if passed+failed > 0 {
			part += fmt.Sprintf(" (%d passed, %d failed so far)", passed, failed)
		}
		parts = append(parts, part)
	}
	fmt.Printf("        running: %s\n", strings.Join(parts, "; "))
}

func counts(res *Result) string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", res.Passed, len(res.Failed), len(res.Skipped))
}

func clock(seconds float64) string {
	return (time.Duration(seconds) * time.Second).String()
}
