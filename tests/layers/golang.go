package layers

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// CheckGo returns one line for each import under root (go-shim, module name
// module) that the rules do not allow. Test files and testdata are free to
// import packages of the module, but not "C".
func CheckGo(rules *Rules, root, module string) ([]string, error) {
	var problems []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil
		}
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		pkg := filepath.ToSlash(filepath.Dir(name))
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if reason := forbiddenImport(rules, module, pkg, imported, strings.HasSuffix(name, "_test.go")); reason != "" {
				problems = append(problems, fmt.Sprintf("%s: %s", name, reason))
			}
		}
		return nil
	})
	return problems, err
}

func forbiddenImport(rules *Rules, module, pkg, imported string, test bool) string {
	if imported == "C" && !rules.Cgo[pkg] {
		return fmt.Sprintf("package %s must not import \"C\"", pkg)
	}
	for _, pattern := range rules.GoForbid[pkg] {
		if matches(pattern, imported) && !test {
			return fmt.Sprintf("package %s must not import %s", pkg, imported)
		}
	}
	own, inside := strings.CutPrefix(imported, module+"/")
	if !inside || test || own == pkg || strings.HasPrefix(own, pkg+"/") {
		return ""
	}
	allowed, known := rules.Go[pkg]
	if !known || contains(allowed, own) {
		return "" // a package without a rule is a tool or a test of its own
	}
	return fmt.Sprintf("package %s must not import %s (allowed: %s)", pkg, own, strings.Join(allowed, " "))
}
