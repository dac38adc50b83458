package layers

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const repo = "../.."

func rulesOfRepo(t *testing.T) *Rules {
	t.Helper()
	rules, err := ReadRules(filepath.Join(repo, "layers.txt"))
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

func TestCppArrows(t *testing.T) {
	problems, err := CheckCpp(rulesOfRepo(t), filepath.Join(repo, "libstorage"))
	report(t, problems, err)
}

func TestGoImports(t *testing.T) {
	problems, err := CheckGo(rulesOfRepo(t), filepath.Join(repo, "go-shim"), "github.com/libstorage/go-shim")
	report(t, problems, err)
}

func report(t *testing.T, problems []string, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		t.Error(problem)
	}
}

// The check itself: each violation below must be seen, and nothing else.
func TestViolationsAreSeen(t *testing.T) {
	cases := []struct{ file, text, want string }{
		{"src/base/a.cc", `#include "src/engine/engine.h"`, "src/base must not include src/engine/engine.h"},
		{"src/backend/memory/a.cc", `#include "src/backend/sqlite/sqlite.h"`, "src/backend/memory must not include"},
		{"src/backend/sqlite/a.cc", `#include "src/engine/engine.h"`, "src/backend/sqlite must not include"},
		{"src/engine/engine.cc", `#include "src/backend/sqlite/sqlite.h"`, "src/engine must not include"},
		{"src/engine/a.cc", "#include <sqlite3.h>", "<sqlite3.h> belongs to src/backend/sqlite only"},
		{"src/engine/b.cc", "#  include <re2/re2.h>", "belongs to src/topology only"},
		{"src/engine/c.cc", `#include "libstorage.h"`, "belongs to src/api only"},
		{"src/topology/a.cc", `#include "topology.h"`, "includes count from libstorage/"},
		{"src/fresh/a.cc", `#include <vector>`, `no rule "cpp src/fresh:"`},
		// and what is allowed
		{"src/engine/backends.cc", `#include "src/backend/sqlite/sqlite.h"`, ""},
		{"src/backend/sqlite/b.cc", "#include <sqlite3.h>\n#include \"src/backend/backend.h\"", ""},
		{"src/engine/d.cc", `#include "src/topology/topology.h"`, ""},
	}
	for _, c := range cases {
		root := t.TempDir()
		write(t, filepath.Join(root, "src/topology/topology.h"), "")
		write(t, filepath.Join(root, c.file), c.text+"\n")
		problems, err := CheckCpp(rulesOfRepo(t), root)
		expect(t, c.file+": "+c.text, problems, err, c.want)
	}
}

func TestGoViolationsAreSeen(t *testing.T) {
	cases := []struct{ file, imported, want string }{
		{"kv/a.go", "k8s.io/apimachinery/pkg/runtime", "kv must not import k8s.io/"},
		{"store/a.go", "C", `store must not import "C"`},
		{"store/b.go", "m/native", "store must not import native"},
		{"kv/b.go", "m/store", "kv must not import store"},
		{"factory/a.go", "C", `factory must not import "C"`},
		{"native/a.go", "k8s.io/klog/v2", "native must not import k8s.io/klog/v2"},
		{"native/b.go", "C", ""},
		{"native/c.go", "m/kv", ""},
		{"factory/b.go", "m/native", ""},
		{"store/b_test.go", "m/native", ""},
	}
	for _, c := range cases {
		root := t.TempDir()
		write(t, filepath.Join(root, c.file), "package x\n\nimport _ \""+c.imported+"\"\n")
		problems, err := CheckGo(rulesOfRepo(t), root, "m")
		expect(t, c.file+" imports "+c.imported, problems, err, c.want)
	}
}

func TestBadRulesAreRefused(t *testing.T) {
	for _, text := range []string{"cpp src/base", "arrow a: b", "cpp a: b\ncpp a: c"} {
		path := filepath.Join(t.TempDir(), "layers.txt")
		write(t, path, text)
		if _, err := ReadRules(path); err == nil || !strings.Contains(err.Error(), "layers.txt:") {
			t.Errorf("%q: want an error with file and line, got %v", text, err)
		}
	}
}

func expect(t *testing.T, what string, problems []string, err error, want string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case want == "" && len(problems) != 0:
		t.Errorf("%s: want no problem, got %q", what, problems)
	case want != "" && (len(problems) != 1 || !strings.Contains(problems[0], want)):
		t.Errorf("%s: want one problem with %q, got %q", what, want, problems)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
