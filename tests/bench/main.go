// Program bench measures this storage beside upstream's etcd3 store with a real
// etcd, in the same run and on the same disk. Every side of every group runs in a
// child process of its own; the order of the sides alternates.
//
// BENCH_RUNS (5) is the number of runs, BENCH_ONLY a regular expression of
// scenarios, BENCH_DIR where the data goes, BENCH_OUT the file of results;
// BENCH_PROFILE is a directory for profiles of Go; run.sh builds what it needs and sets the rest.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) > 0 && args[0] == "child" {
		return runChild(args[1:])
	}
	b, err := newBench()
	if err != nil {
		return err
	}
	if len(args) == 2 && args[0] == "wants" { // run.sh asks what to build
		return b.wants(args[1])
	}
	for i := range b.runs {
		if err := b.once(i); err != nil {
			return err
		}
	}
	rows := evaluate(b.samples)
	print(os.Stdout, rows)
	return save(b.out, rows)
}

// sides in the order of the table.
var sides = []string{"ours", "etcd"}

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

// wants fails when no scenario of the groups with this prefix will be measured.
func (b *bench) wants(prefix string) error {
	for _, group := range groupOrder {
		if strings.HasPrefix(group, prefix) && slices.ContainsFunc(scenariosOf(group), b.pattern.MatchString) {
			return nil
		}
	}
	return fmt.Errorf("BENCH_ONLY leaves %s out", prefix)
}

func (b *bench) once(run int) error {
	for n, group := range groupOrder {
		if !slices.ContainsFunc(scenariosOf(group), b.pattern.MatchString) {
			continue
		}
		order := slices.Clone(sides)
		if (run+n)%2 == 1 {
			slices.Reverse(order)
		}
		for _, side := range order {
			fmt.Fprintf(os.Stderr, "run %d of %d: %s, %s\n", run+1, b.runs, group, side)
			if err := b.child(side, group); err != nil {
				return fmt.Errorf("%s of %s: %w", group, side, err)
			}
		}
	}
	return nil
}

// child runs one group on one side in an empty directory.
func (b *bench) child(side, group string) error {
	dir, err := os.MkdirTemp(b.dir, group+"-"+side+"-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
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
