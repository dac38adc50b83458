package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"syscall"
)

// State is what a shard's run left in out/upstream/state, for the report and so that
// it need not run again.
type State struct {
	Shard    string              `json:"shard"`
	Stamp    string              `json:"stamp"`   // of all that the results depend on
	Seconds  float64             `json:"seconds"` // without compiling
	Done     []string            `json:"done"`    // packages; all of them, or it is not over
	Outcomes []Outcome           `json:"outcomes"`
	Listed   map[string][]string `json:"listed"`
}

func statePath(root, shard string) string {
	return filepath.Join(root, "out/upstream/state", shard+".json")
}

func readState(path string) (State, error) {
	var s State
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	return s, err
}

func writeJSON(path string, value any) error {
	text, err := json.MarshalIndent(value, "", " ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", append(text, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// stampOf names what a shard's results depend on: the shim, the patches, the facade,
// the library and the stanza itself.
func stampOf(root string, s *Shard) (string, error) {
	hash := sha256.New()
	fmt.Fprintln(hash, *s)
	cmd := exec.Command("git", "ls-files", "--cached", "--others", "--exclude-standard", "--",
		"go-shim", "patches", "build/kube", "libstorage", "tests/upstream/facade", "tests/upstream/linked", "tests/upstream/prepare.sh")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("git ls-files: %w", err)
	}
	for _, name := range strings.Fields(string(out)) {
		file, err := os.Open(filepath.Join(root, name))
		if os.IsNotExist(err) {
			continue // listed and deleted
		}
		if err != nil {
			return "", err
		}
		fmt.Fprintln(hash, name)
		_, err = io.Copy(hash, file)
		file.Close()
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(hash.Sum(nil))[:16], nil
}

// mergeReport puts a shard's verdicts into an earlier report. A top-level test that ran
// again brings all its subtests anew.
func mergeReport(earlier, now []Verdict) []Verdict {
	again := map[string]bool{}
	for _, v := range now {
		again[topOf(v)], again[v.Suite+" "+wholePackage] = true, true
		again[v.Suite] = true
	}
	all := slices.Clone(now)
	for _, v := range earlier {
		ofTable := v.Result == stale || v.Result == unknown
		if !again[topOf(v)] && !(ofTable && again[v.Suite]) {
			all = append(all, v)
		}
	}
	sort.SliceStable(all, func(i, j int) bool {
		return all[i].Suite+" "+all[i].Test < all[j].Suite+" "+all[j].Test
	})
	return all
}

func topOf(v Verdict) string {
	top, _, _ := strings.Cut(v.Test, "/")
	return v.Suite + " " + top
}

// report merges a shard's verdicts into last.json. Several runs may do so at once.
func report(root string, now []Verdict) error {
	lock, err := os.OpenFile(filepath.Join(root, "out/upstream/report.lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	path := filepath.Join(root, "tests/upstream/last.json")
	var earlier []Verdict
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &earlier)
	}
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	return writeJSON(path, mergeReport(earlier, now))
}

// reportAll puts what every shard's last run left into last.json, oldest first.
func reportAll(root string, expected []*Expectation) error {
	paths, err := filepath.Glob(statePath(root, "*"))
	if err != nil {
		return err
	}
	age := func(path string) int64 {
		info, err := os.Stat(path)
		if err != nil {
			return 0
		}
		return info.ModTime().UnixNano()
	}
	sort.Slice(paths, func(i, j int) bool { return age(paths[i]) < age(paths[j]) })
	for _, path := range paths {
		s, err := readState(path)
		if err != nil {
			return err
		}
		if err := report(root, Judge(s.Outcomes, expected, s.Listed)); err != nil {
			return err
		}
	}
	return nil
}
