// Command run runs the suites of suites.conf and sums them up: `make test`
// (class sample) and `make test-full` (class full, resumable). The last line is
// "N passed, N failed, N skipped". Exit 1 on a failure, on a skip that
// skips.txt does not allow, and on a suite that ran nothing.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
	"syscall"
	"time"
)

func main() {
	class := flag.String("class", "sample", "sample or full")
	only := flag.String("only", "", "suites to run, with what they need (default all)")
	resume := flag.Bool("resume", false, "reuse results of suites whose inputs are unchanged")
	list := flag.Bool("list", false, "print the suites and end")
	root := flag.String("root", ".", "repository")
	conf := flag.String("conf", "tests/run/suites.conf", "suites, relative to the repository")
	flag.Parse()
	code, err := run(*class, strings.Fields(strings.ReplaceAll(*only, ",", " ")), *resume, *list, *root, *conf)
	if err != nil {
		fmt.Fprintln(os.Stderr, "tests/run:", err)
		os.Exit(2)
	}
	os.Exit(code)
}

func run(class string, only []string, resume, list bool, root, conf string) (int, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return 0, err
	}
	cores := runtime.NumCPU()
	suites, err := ReadSuites(filepath.Join(root, conf), class, cores)
	if err == nil {
		suites, err = Choose(suites, only)
	}
	if err != nil {
		return 0, err
	}
	if list {
		for _, s := range suites {
			fmt.Printf("%-22s %s\n", s.Name, s.Command)
		}
		return 0, nil
	}
	skips, err := ReadSkips(filepath.Join(filepath.Dir(filepath.Join(root, conf)), "skips.txt"))
	if err != nil {
		return 0, err
	}
	logs, done := filepath.Join(root, "out/test-logs"), filepath.Join(root, "out/test-done")
	for _, dir := range []string{logs, done} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return 0, err
		}
	}
	seed := os.Getenv("SEED")
	if seed == "" {
		seed = "1"
	}
	fmt.Printf("%d suites of class %s on %d cores, SEED=%s; logs in out/test-logs\n", len(suites), class, cores, seed)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	began := time.Now()
	scheduler := &Scheduler{Root: root, Logs: logs, Done: done, Resume: resume, Cores: cores,
		Env: []string{"TEST_CLASS=" + class, "SEED=" + seed}, Interrupt: signals}
	results, err := scheduler.Run(suites)
	if err != nil {
		return 0, err
	}
	return report(suites, results, skips, time.Since(began)), nil
}

// report prints excerpts, skips, times and the last line; returns the exit code.
func report(suites []*Suite, results map[string]*Result, skips map[string]string, took time.Duration) int {
	total, code := &Result{}, 0
	for _, s := range suites {
		res := results[s.Name]
		total.Passed += res.Passed
		total.Failed = append(total.Failed, res.Failed...)
		for _, failure := range res.Failed {
			fmt.Printf("\n--- %s: %s (out/test-logs/%s.log)\n%s\n", s.Name, failure.Name, s.Name, failure.Excerpt)
		}
		for _, name := range res.Skipped {
			total.Skipped = append(total.Skipped, name)
			if skipAllowed(skips, s.Name, name) {
				fmt.Printf("skipped %s: %s (allowed by tests/run/skips.txt)\n", s.Name, name)
			} else {
				fmt.Printf("skipped %s: %s: NOT ALLOWED, add it to tests/run/skips.txt with a reason or mend it\n", s.Name, name)
				code = 1
			}
		}
	}
	if len(total.Failed) > 0 {
		code = 1
	}
	printTimes(suites, results)
	fmt.Printf("%d suites in %s\n", len(suites), took.Round(time.Second))
	fmt.Println(counts(total))
	return code
}

// printTimes: the longest first. CPU over the number of cores is what a suite
// would take on an idle machine at best.
func printTimes(suites []*Suite, results map[string]*Result) {
	slow, cpu := append([]*Suite(nil), suites...), 0.0
	sort.SliceStable(slow, func(i, j int) bool { return results[slow[i].Name].Seconds > results[slow[j].Name].Seconds })
	fmt.Println("\ntimes (CPU of its processes):")
	for _, s := range slow {
		res := results[s.Name]
		cpu += res.CPU
		fmt.Printf("  %-22s %8s %8s\n", s.Name, clock(res.Seconds), clock(res.CPU))
	}
	fmt.Printf("  %-22s %8s %8s\n", "all", "", clock(cpu))
}
