package store

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const tablePath = "../../docs/conformance.md"

const tableHead = `# Upstream's storage suite

Every test of ` + "`k8s.io/apiserver/pkg/storage/testing`" + ` (%s) on every kind of database, under ` + "`-race`" + `:
memory, one SQLite file, PostgreSQL, MariaDB, etcd, and topologies that spread the keys over
three SQLite files and over all four kinds. ` + "`make test ONLY=go-store`" + ` runs them
(` + "`TestUpstreamSuite/DATABASE/NAME`" + `); none is left out. Upstream's tests of the watch cache run over our store with
` + "`make test ONLY=cacher`" + `. The table is checked by ` + "`TestConformanceTable`" + `; ` + "`UPDATE=1 go test -run ConformanceTable ./store`" + ` writes it.

| upstream's function | runs as | replaced |
|---|---|---|
`

// otherSuites is where the part of the file begins that the test leaves alone.
const otherSuites = "\n# Upstream's other suites\n"

// What upstream asserts of etcd alone, and what stands in for it.
var replaced = map[string]string{
	"ListContinuation":           "etcd's page doubling: counters of rows and reads",
	"ListPaginationRareObject":   "etcd's page doubling: counters of rows and reads",
	"ListContinuationWithFilter": "etcd's page doubling: counters of rows and reads",
}

// upstreamFunctions reads the names from the module's source.
func upstreamFunctions(t *testing.T) (version string, names []string) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Version}} {{.Dir}}", "k8s.io/apiserver").Output()
	if err != nil {
		t.Fatal(err)
	}
	version, dir, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
	files, err := filepath.Glob(filepath.Join(dir, "pkg/storage/testing/*.go"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^func (Run[A-Z]\w*)\(`).FindAllStringSubmatch(string(text), -1) {
			if !strings.HasPrefix(m[1], "RunBenchmark") {
				names = append(names, m[1])
			}
		}
	}
	slices.Sort(names)
	return version, names
}

// TestConformanceTable: no function of upstream's is missing, and the table says so.
func TestConformanceTable(t *testing.T) {
	version, names := upstreamFunctions(t)
	source, err := os.ReadFile("conformance_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	fmt.Fprintf(&table, tableHead, version)
	runsAs := map[string]string{} // by upstream's function
	for _, entry := range strings.Split(string(source), "\n\t{\"")[1:] {
		name, rest, _ := strings.Cut(entry, `"`)
		if m := regexp.MustCompile(`storagetesting\.(\w+)`).FindStringSubmatch(rest); m != nil {
			runsAs[m[1]] = name
		}
	}
	for _, name := range names {
		if runsAs[name] == "" {
			t.Errorf("upstream's %s is not in the suite", name)
			continue
		}
		fmt.Fprintf(&table, "| %s | %s | %s |\n", name, runsAs[name], replaced[runsAs[name]])
	}
	if len(names) != len(upstreamSuite) {
		t.Errorf("upstream has %d functions, the suite %d", len(names), len(upstreamSuite))
	}
	fmt.Fprintf(&table, "\n%d functions, all run.\n", len(names))
	text, err := os.ReadFile(tablePath)
	if err != nil {
		t.Fatal(err)
	}
	// What follows is written by hand: upstream's other suites.
	found, rest, more := strings.Cut(string(text), otherSuites)
	if !more {
		t.Errorf("%s has no %q", tablePath, otherSuites)
	}
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(tablePath, []byte(table.String()+otherSuites+rest), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if found != table.String() {
		t.Errorf("%s is old: write it with UPDATE=1", tablePath)
	}
}
