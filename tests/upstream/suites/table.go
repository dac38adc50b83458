package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// printTable shows last.json as the table of docs/conformance.md: a line for each
// suite, and one for all storages of pkg/registry.
func printTable(root string) error {
	text, err := os.ReadFile(filepath.Join(root, "tests/upstream/last.json"))
	if err != nil {
		return err
	}
	var verdicts []Verdict
	if err := json.Unmarshal(text, &verdicts); err != nil {
		return err
	}
	counts := map[string]map[string]int{}
	packages := map[string]map[string]bool{}
	for _, v := range verdicts {
		name := v.Suite
		if strings.HasPrefix(name, "pkg/registry/") {
			name = "pkg/registry/**"
		}
		for _, key := range []string{name, "together"} {
			if counts[key] == nil {
				counts[key], packages[key] = map[string]int{}, map[string]bool{}
			}
			counts[key][v.Result]++
			packages[key][v.Suite] = true
		}
	}
	var names []string
	for name := range counts {
		names = append(names, name)
	}
	sort.Slice(names, func(i, j int) bool {
		return names[j] == "together" && names[i] != "together" || names[i] != "together" && names[i] < names[j]
	})
	fmt.Println("| suite | packages | pass | not applicable | skipped by upstream | fail on etcd too | fail |")
	fmt.Println("|---|---|---|---|---|---|---|")
	for _, name := range names {
		c := counts[name]
		fmt.Printf("| %s | %d | %d | %d | %d | %d | %d |\n", name, len(packages[name]), c[passed], c[notApplicable], c[skipped],
			c[failsOnEtcd], c[failed]+c[stale]+c[unknown])
	}
	return nil
}
