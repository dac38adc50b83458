package main

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"runtime/pprof"
	"slices"
)

// child is a process of its own that measures a group of scenarios on one side,
// so that memory and CPU are those of this side alone. It prints a Sample a line.
type child struct {
	*side
	dir  string
	only *regexp.Regexp
	out  *json.Encoder
	// The scenarios of the group, and the prefix of their names outside of it.
	scenarios []string
	prefix    string
}

func (c *child) wants(scenario string) bool {
	return slices.Contains(c.scenarios, scenario) && c.only.MatchString(c.prefix+scenario)
}

func (c *child) wantsAny(scenarios ...string) bool {
	for _, s := range scenarios {
		if c.wants(s) {
			return true
		}
	}
	return false
}

func runChild(args []string) error {
	flags := flag.NewFlagSet("child", flag.ContinueOnError)
	sideName := flags.String("side", "", "ours or a peer")
	group := flags.String("group", "", "which scenarios")
	dir := flags.String("dir", "", "empty directory for the data")
	only := flags.String("only", "", "scenarios to measure, a regular expression")
	if err := flags.Parse(args); err != nil {
		return err
	}
	chosen, err := findGroup(*group)
	if err != nil {
		return err
	}
	open, err := chosen.opener(*sideName)
	if err != nil {
		return err
	}
	pattern, err := regexp.Compile(*only)
	if err != nil {
		return err
	}
	c := &child{dir: *dir, only: pattern, out: json.NewEncoder(os.Stdout), scenarios: chosen.scenarios, prefix: chosen.prefix}
	if c.side, err = open(*dir); err != nil {
		return err
	}
	stop, err := profile(os.Getenv("BENCH_PROFILE"), *group+"-"+*sideName)
	if err != nil {
		return err
	}
	return errors.Join(chosen.run(c), stop(), c.close())
}

// profile writes profiles of CPU and allocations to a directory; "" = none.
func profile(dir, name string) (stop func() error, err error) {
	if dir == "" {
		return func() error { return nil }, nil
	}
	cpu, err := os.Create(filepath.Join(dir, name+".cpu"))
	if err != nil {
		return nil, err
	}
	allocs, err := os.Create(filepath.Join(dir, name+".allocs"))
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return nil, err
	}
	return func() error {
		pprof.StopCPUProfile()
		return errors.Join(pprof.Lookup("allocs").WriteTo(allocs, 0), cpu.Close(), allocs.Close())
	}, nil
}
