package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// shardRun is one shard on its way.
type shardRun struct {
	place    *Place
	shard    *Shard
	expected []*Expectation
	log      io.Writer
	state    State
}

// packages runs those of the shard that are not done, one after another, and keeps
// what is known after each: a shard that was cut off goes on from there.
func (r *shardRun) packages() error {
	for _, pkg := range r.shard.Packages {
		if slices.Contains(r.state.Done, pkg) {
			continue
		}
		if err := r.place.Build(pkg); err != nil {
			r.state.Outcomes = append(r.state.Outcomes, Outcome{Suite: suiteOf(pkg), Test: wholePackage, Result: "fail", Output: err.Error()})
		} else if err := r.timed(pkg); err != nil {
			return err
		}
		if len(r.shard.Packages) > 2 { // 100 MB each
			_ = os.Remove(r.place.binary(pkg))
		}
		r.state.Done = append(r.state.Done, pkg)
		if err := writeJSON(statePath(r.place.root, r.shard.Name), r.state); err != nil {
			return err
		}
		if err := report(r.place.root, Judge(r.state.Outcomes, r.expected, r.state.Listed)); err != nil {
			return err
		}
	}
	return nil
}

// timed leaves out what compiling takes.
func (r *shardRun) timed(pkg string) error {
	began := time.Now()
	defer func() { r.state.Seconds += time.Since(began).Seconds() }()
	return r.onePackage(pkg)
}

func (r *shardRun) onePackage(pkg string) error {
	listed, err := r.place.List(pkg)
	if err != nil {
		return err
	}
	suite := suiteOf(pkg)
	r.state.Listed[suite] = listed
	var wanted []string
	for _, test := range listed {
		if r.shard.wants(test) {
			wanted = append(wanted, test)
		}
	}
	if len(wanted) == 0 {
		r.state.Outcomes = append(r.state.Outcomes, Outcome{Suite: suite, Test: wholePackage, Result: "fail",
			Output: "no test matches the shard's run and skip"})
		return nil
	}
	outcomes, err := r.onOurs(pkg, wanted)
	if err != nil {
		return err
	}
	if err := r.onEtcd(pkg, outcomes, wanted); err != nil {
		return err
	}
	r.state.Outcomes = append(r.state.Outcomes, outcomes...)
	return nil
}

// onOurs runs tests on our storage, and those again to which a crash did not let it come.
func (r *shardRun) onOurs(pkg string, wanted []string) ([]Outcome, error) {
	ctx, cancel := context.WithTimeout(context.Background(), r.shard.Limit)
	defer cancel()
	data, err := os.MkdirTemp(os.Getenv("UPSTREAM_DATA"), "upstream-data")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(data)
	trace := filepath.Join(data, "trace")
	env := []string{"UPSTREAM_DATA=" + data, "UPSTREAM_TRACE=" + trace, "TMPDIR=" + data}
	c := newCollector(suiteOf(pkg))
	for left := wanted; len(left) > 0; {
		if err := r.place.Run(ctx, pkg, left, env, c, r.log); err != nil {
			return nil, err
		}
		again := remaining(left, c)
		if len(again) == len(left) || ctx.Err() != nil {
			left = again
			break
		}
		left = again
	}
	outcomes := c.outcomes()
	for _, test := range remaining(wanted, c) {
		outcomes = append(outcomes, Outcome{Suite: c.suite, Test: test, Result: "fail", Output: "did not run: crash or time limit before it"})
	}
	if text, _ := os.ReadFile(trace); strings.TrimSpace(string(text)) == "" {
		outcomes = append(outcomes, Outcome{Suite: c.suite, Test: wholePackage, Result: "fail", Output: "no test opened our storage: " + trace + " is empty"})
	}
	return outcomes, nil
}

func remaining(tests []string, c *collector) []string {
	var left []string
	for _, test := range tests {
		if !c.finished(test) {
			left = append(left, test)
		}
	}
	return left
}

// onEtcd runs what failed, and was not expected to, on etcd without our storage.
func (r *shardRun) onEtcd(pkg string, outcomes []Outcome, wanted []string) error {
	failed := r.unexpected(outcomes)
	if len(failed) == 0 {
		return nil
	}
	if contains(failed, wholePackage) {
		failed = wanted
	}
	server, err := startEtcd(r.place.root)
	if err != nil {
		return err
	}
	defer server.stop()
	fmt.Fprintf(r.log, "\n=== on etcd: %s %s\n", pkg, strings.Join(failed, " "))
	ctx, cancel := context.WithTimeout(context.Background(), r.shard.Limit)
	defer cancel()
	c := newCollector(suiteOf(pkg))
	env := []string{"UPSTREAM_STORAGE=etcd", "KUBE_INTEGRATION_ETCD_URL=" + server.URL}
	if err := r.place.Run(ctx, pkg, failed, env, c, r.log); err != nil {
		return err
	}
	there := map[string]string{}
	for _, o := range c.outcomes() {
		there[o.Test] = o.Result
	}
	for i := range outcomes {
		if outcomes[i].Result == "fail" {
			outcomes[i].OnEtcd = there[outcomes[i].Test]
		}
	}
	return nil
}

// unexpected are the top-level tests that failed for no reason of expected.txt.
func (r *shardRun) unexpected(outcomes []Outcome) []string {
	var failed []string
	for _, o := range outcomes {
		if o.Result != "fail" {
			continue
		}
		known := false
		for _, e := range r.expected {
			known = known || e.Verdict == "na" && e.covers(o.Suite, o.Test)
		}
		top, _, _ := strings.Cut(o.Test, "/")
		if !known && !contains(failed, top) {
			failed = append(failed, top)
		}
	}
	return failed
}
