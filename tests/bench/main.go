// Program bench measures this storage beside its peers (upstream's etcd3 store with a
// real etcd or with kine, raw statements) in the same run and on the same disk. Every
// side of every group runs in a child process of its own; each side is first in turn.
//
// BENCH_RUNS (5) is the number of runs, BENCH_ONLY a regular expression of
// scenarios, BENCH_DIR where the data goes, BENCH_OUT the file of results, in which
// rows that were not measured stay; BENCH_SCALE divides the numbers of calls, to see
// that it works: such numbers are no results. BENCH_PROFILE is a directory for profiles
// of Go; run.sh builds what it needs and sets the rest.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if err := setScale(setting("BENCH_SCALE", "1")); err != nil {
		return err
	}
	if len(args) > 0 && args[0] == "child" {
		return runChild(args[1:])
	}
	if len(args) > 0 && args[0] == "write" {
		return runWriter(args[1:])
	}
	b, err := newBench()
	if err != nil {
		return err
	}
	if len(args) == 1 && args[0] == "scenarios" {
		b.list()
		return nil
	}
	if len(args) == 2 && args[0] == "wants" { // run.sh asks what to build
		return b.wants(args[1])
	}
	var failures []error
	for i := range b.runs {
		failures = append(failures, b.once(i)...)
	}
	rows := evaluate(b.samples)
	print(os.Stdout, rows)
	if scale == 1 || os.Getenv("BENCH_OUT") != "" {
		failures = append(failures, save(b.out, rows))
	}
	return errors.Join(failures...)
}

// samples by scenario and side, one a run.
type samples map[string]map[string][]Sample

type bench struct {
	runs    int
	only    string
	pattern *regexp.Regexp
	dir     string
	out     string
	samples samples
}

func setting(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

// scale divides the numbers of calls.
var scale = 1

func setScale(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return fmt.Errorf("BENCH_SCALE=%q is not a number to divide by", text)
	}
	scale = n
	return nil
}

func scaled(n int) int { return max(1, n/scale) }

func newBench() (*bench, error) {
	b := &bench{only: os.Getenv("BENCH_ONLY"), samples: samples{}, out: setting("BENCH_OUT", "last.json")}
	var err error
	if b.runs, err = strconv.Atoi(setting("BENCH_RUNS", "5")); err != nil || b.runs < 1 {
		return nil, fmt.Errorf("BENCH_RUNS=%q is not a number of runs", os.Getenv("BENCH_RUNS"))
	}
	if b.pattern, err = regexp.Compile(b.only); err != nil {
		return nil, fmt.Errorf("BENCH_ONLY: %w", err)
	}
	if b.dir, err = filepath.Abs(setting("BENCH_DIR", "data")); err != nil {
		return nil, err
	}
	return b, os.MkdirAll(b.dir, 0o755)
}

// list prints what can be measured, as BENCH_ONLY sees it.
func (b *bench) list() {
	for _, g := range groups {
		for _, scenario := range g.scenarios {
			if b.pattern.MatchString(g.prefix + scenario) {
				fmt.Printf("%s\t%s\n", g.name, g.prefix+scenario)
			}
		}
	}
}

// wants fails when nothing will be measured of the groups with this prefix or side.
func (b *bench) wants(what string) error {
	for _, g := range groups {
		if g.needs(what) && g.wanted(b.pattern.MatchString) {
			return nil
		}
	}
	return fmt.Errorf("BENCH_ONLY leaves %s out", what)
}

// once returns what failed: a side that does not work takes no row but its own away.
func (b *bench) once(run int) (failures []error) {
	for n, group := range groups {
		if !group.wanted(b.pattern.MatchString) {
			continue
		}
		for _, p := range group.order(run + n) {
			fmt.Fprintf(os.Stderr, "run %d of %d: %s, %s\n", run+1, b.runs, group.name, p.side)
			if err := b.child(p.side, group.name); err != nil {
				err = fmt.Errorf("run %d, %s of %s: %w", run+1, group.name, p.side, err)
				fmt.Fprintln(os.Stderr, "bench:", err)
				failures = append(failures, err)
			}
		}
	}
	return failures
}

// child runs one group on one side in an empty directory.
func (b *bench) child(side, group string) error {
	dir, err := os.MkdirTemp(b.dir, group+"-"+side+"-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // for the accounts of servers
		return err
	}
	executable, err := os.Executable()
	if err != nil {
		return err
	}
	syscall.Sync() // what the side before left behind
	command := exec.Command(executable, "child", "-side="+side, "-group="+group, "-dir="+dir, "-only="+b.only)
	command.Stderr = os.Stderr
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := command.StdoutPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return err
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var s Sample
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			return fmt.Errorf("%q: %w", lines.Text(), err)
		}
		if b.samples[s.Scenario] == nil {
			b.samples[s.Scenario] = map[string][]Sample{}
		}
		b.samples[s.Scenario][side] = append(b.samples[s.Scenario][side], s)
	}
	return command.Wait()
}
