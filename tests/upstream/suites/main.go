// Suites runs upstream's own test packages on our storage: shards.conf says which,
// expected.txt what is not applicable and why, prepare.sh how our storage gets into
// them. What fails is run again on etcd, without our storage. The results are merged
// into the report, tests/upstream/last.json; one TAP line is printed for each test.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	log.SetFlags(0)
	root := flag.String("root", "../../..", "the repository")
	version := flag.String("version", "v1.32.0", "of Kubernetes")
	names := flag.String("shard", "all", "names of shards, ci, or all; separated by commas or spaces")
	resume := flag.Bool("resume", false, "keep results of shards whose inputs have not changed")
	build := flag.Bool("build", false, "compile only")
	list := flag.Bool("list", false, "show the shards")
	table := flag.Bool("table", false, "put what all shards' last runs left into the report, and show it as a table")
	flag.Parse()
	if *table {
		if err := tabulate(*root); err != nil {
			log.Fatal("error: ", err)
		}
		return
	}
	ok, err := run(*root, *version, *names, *resume, *build, *list)
	if err != nil {
		log.Fatal("error: ", err)
	}
	if !ok {
		os.Exit(1)
	}
}

func run(root, version, names string, resume, build, list bool) (bool, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return false, err
	}
	dir := filepath.Join(root, "tests/upstream")
	all, err := ReadShards(filepath.Join(dir, "shards.conf"))
	if err != nil {
		return false, err
	}
	if list {
		for _, s := range all {
			fmt.Printf("%-24s %d: %s\n", s.Name, len(s.Packages), s.Packages[0])
		}
		return true, nil
	}
	expected, err := ReadExpected(filepath.Join(dir, "expected.txt"))
	if err != nil {
		return false, err
	}
	shards, err := Choose(all, strings.FieldsFunc(names, func(r rune) bool { return r == ',' || r == ' ' }))
	if err != nil {
		return false, err
	}
	place, err := NewPlace(root, version)
	if err != nil {
		return false, err
	}
	var packages []string
	for _, s := range shards {
		packages = append(packages, s.Packages...)
	}
	if err := place.Prepare(packages); err != nil {
		return false, err
	}
	if build {
		for _, pkg := range packages {
			if err := place.Build(pkg); err != nil {
				return false, err
			}
		}
		return true, nil
	}
	return runAll(place, shards, expected, resume)
}

func tabulate(root string) error {
	expected, err := ReadExpected(filepath.Join(root, "tests/upstream/expected.txt"))
	if err != nil {
		return err
	}
	if err := reportAll(root, expected); err != nil {
		return err
	}
	return printTable(root)
}

func runAll(place *Place, shards []*Shard, expected []*Expectation, resume bool) (bool, error) {
	good := true
	tap := &tap{}
	for _, s := range shards {
		state, err := runShard(place, s, expected, resume)
		if err != nil {
			return false, fmt.Errorf("shard %s: %w", s.Name, err)
		}
		verdicts := Judge(state.Outcomes, expected, state.Listed)
		good = tap.print(s.Name, state.Seconds, verdicts) && good
		if err := report(place.root, verdicts); err != nil {
			return false, err
		}
	}
	fmt.Printf("1..%d\n", tap.number)
	return good, nil
}

// runShard runs one, or takes what an earlier run left.
func runShard(place *Place, s *Shard, expected []*Expectation, resume bool) (State, error) {
	stamp, err := stampOf(place.root, s)
	if err != nil {
		return State{}, err
	}
	state := State{Shard: s.Name, Stamp: stamp, Listed: map[string][]string{}}
	if old, err := readState(statePath(place.root, s.Name)); resume && err == nil && old.Stamp == stamp {
		state = old
	}
	if len(state.Done) == len(s.Packages) {
		return state, nil
	}
	logPath := filepath.Join(place.root, "out/upstream/log", s.Name+".log")
	if err := os.MkdirAll(filepath.Dir(logPath), 0o755); err != nil {
		return State{}, err
	}
	file, err := os.Create(logPath)
	if err != nil {
		return State{}, err
	}
	defer file.Close()
	r := &shardRun{place: place, shard: s, expected: expected, log: file, state: state}
	err = r.packages()
	return r.state, err
}

type tap struct{ number int }

// print gives a line to each test that counts; what does not is a comment.
func (t *tap) print(shard string, seconds float64, verdicts []Verdict) bool {
	counts := map[string]int{}
	good := true
	for _, v := range verdicts {
		counts[v.Result]++
		switch {
		case v.Result == passed:
			t.number++
			fmt.Printf("ok %d - %s %s\n", t.number, v.Suite, v.Test)
		case bad(v.Result):
			t.number++
			good = false
			fmt.Printf("  %s\n", strings.ReplaceAll(v.Reason, "\n", "\n  "))
			fmt.Printf("not ok %d - %s %s (%s)\n", t.number, v.Suite, v.Test, v.Result)
		default:
			fmt.Printf("  %s %s: %s: %s\n", v.Suite, v.Test, v.Result, v.Reason)
		}
	}
	fmt.Printf("  shard %s: %.0f s: %d pass, %d fail, %d not applicable, %d skipped by upstream, %d fail on etcd too, %d lines of the table to take out\n",
		shard, seconds, counts[passed], counts[failed], counts[notApplicable], counts[skipped], counts[failsOnEtcd], counts[stale]+counts[unknown])
	return good
}
