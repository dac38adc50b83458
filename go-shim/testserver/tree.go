package testserver

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// stillTime bounds how long processes may take to stop or to go.
const stillTime = 30 * time.Second

// PauseTree stops a process and everything below it; when it returns nothing of
// them runs. A process is stopped by one of its own threads, and until that gets a
// core the others go on.
func PauseTree(root int) error {
	return await(fmt.Sprintf("stopping process %d", root), signalTree(root, syscall.SIGSTOP), "TtZX")
}

// ResumeTree lets them go on.
func ResumeTree(root int) { signalTree(root, syscall.SIGCONT) }

// KillTree ends them with SIGKILL, at one moment for whoever talks to them. The root
// may be left for its parent to reap.
func KillTree(root int) error {
	if err := PauseTree(root); err != nil {
		return err
	}
	tree := signalTree(root, 0)
	for _, pid := range tree {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may have gone
	}
	return await(fmt.Sprintf("killing process %d", root), tree, "ZX")
}

// signalTree signals parents first, again until no new one came: a stopped parent
// forks no more.
func signalTree(root int, signal syscall.Signal) []int {
	var reached []int
	for before := -1; before != len(reached); {
		before = len(reached)
		for _, pid := range treeOf(root) {
			if !slices.Contains(reached, pid) {
				_ = syscall.Kill(pid, signal) // it may have gone
				reached = append(reached, pid)
			}
		}
	}
	return reached
}

func treeOf(root int) []int {
	children := map[int][]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is good
	for _, path := range stats {
		if fields := statOf(path); len(fields) > 1 {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			parent, _ := strconv.Atoi(fields[1])
			children[parent] = append(children[parent], pid)
		}
	}
	tree := []int{root}
	for i := 0; i < len(tree); i++ {
		tree = append(tree, children[tree[i]]...)
	}
	return tree
}

// statOf is what follows the name: state, parent, and more; nil when it has gone.
func statOf(path string) []string {
	text, _ := os.ReadFile(path)
	end := strings.LastIndexByte(string(text), ')')
	if end < 0 {
		return nil
	}
	return strings.Fields(string(text[end+1:]))
}

// await until all threads of the processes are in one of the states, or gone.
func await(what string, pids []int, states string) error {
	is := func(pid int) bool {
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid)) // the pattern is good
		for _, path := range tasks {
			if fields := statOf(path); fields != nil && !strings.Contains(states, fields[0]) {
				return false
			}
		}
		return true
	}
	for deadline := time.Now().Add(stillTime); ; time.Sleep(2 * time.Millisecond) {
		if !slices.ContainsFunc(pids, func(pid int) bool { return !is(pid) }) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s takes longer than %s", what, stillTime)
		}
	}
}
