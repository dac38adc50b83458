package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// stat is what /proc/PID/stat says of a process.
type stat struct {
	parent     int
	own, ended time.Duration // CPU of the process, and of its children that ended
}

func parseStat(text string) (stat, error) {
	// The fields after the name, which may hold spaces: state, parent, …; utime, stime,
	// cutime and cstime are the 14th to 17th of all.
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 15 {
		return stat{}, fmt.Errorf("not a line of /proc/PID/stat: %q", text)
	}
	var n [5]int64
	for i, at := range []int{1, 11, 12, 13, 14} {
		var err error
		if n[i], err = strconv.ParseInt(fields[at], 10, 64); err != nil {
			return stat{}, err
		}
	}
	return stat{int(n[0]), time.Duration(n[1]+n[2]) * clockTick, time.Duration(n[3]+n[4]) * clockTick}, nil
}

// allStats of the processes that are there now.
func allStats() (map[int]stat, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	all := map[int]stat{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		s, err := parseStat(string(text))
		if err != nil {
			return nil, err
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			return nil, err
		}
		all[pid] = s
	}
	return all, nil
}

// treeOf is the process and all that descend from it.
func treeOf(root int, all map[int]stat) []int {
	tree := []int{root}
	for i := 0; i < len(tree); i++ {
		for pid, s := range all {
			if s.parent == tree[i] {
				tree = append(tree, pid)
			}
		}
	}
	return tree
}

// usageOfTrees sums processes with all their children, those that ended included. A
// process alone has the peak of its resident memory; processes that share memory have
// their proportional parts of what is resident now.
func (p processes) usageOfTrees() (Cost, error) {
	all, err := allStats()
	if err != nil {
		return Cost{}, err
	}
	var sum Cost
	for _, root := range p {
		if _, ok := all[root]; !ok {
			return Cost{}, fmt.Errorf("the server's process %d has ended", root)
		}
		tree := treeOf(root, all)
		for _, pid := range tree {
			sum.CPU += all[pid].own + all[pid].ended
		}
		memory := peakRSS
		if len(tree) > 1 {
			memory = proportional
		}
		for _, pid := range tree {
			bytes, err := memory(pid)
			if err != nil && pid == root {
				return Cost{}, err
			}
			sum.Peak += bytes // 0 of a child that has just ended
		}
	}
	return sum, nil
}

// proportional memory: a page that n processes share counts a n-th.
func proportional(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	return kilobytes(string(text), "Pss:")
}

// kilobytes of a line "NAME  123 kB", in bytes.
func kilobytes(text, name string) (int64, error) {
	for _, line := range strings.Split(text, "\n") {
		if rest, ok := strings.CutPrefix(line, name); ok {
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("no line %s", name)
}
