package layers

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

var include = regexp.MustCompile(`^\s*#\s*include\s+["<]([^">]+)[">]`)

// CheckCpp returns one line for each include under root (src, tools) that the
// rules do not allow: "file:line: ...". Directories named tests are free.
func CheckCpp(rules *Rules, root string) ([]string, error) {
	var problems []string
	for _, top := range []string{"src", "tools"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(path string, entry fs.DirEntry, err error) error {
			if os.IsNotExist(err) {
				return nil
			}
			if err != nil || entry.IsDir() {
				return err
			}
			switch filepath.Ext(path) {
			case ".h", ".cc", ".c":
				found, err := checkFile(rules, root, path)
				problems = append(problems, found...)
				return err
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return problems, nil
}

func checkFile(rules *Rules, root, path string) ([]string, error) {
	name, err := filepath.Rel(root, path)
	if err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	dir := filepath.Dir(name)
	allowed, known := rules.Cpp[dir]
	var problems []string
	if !known {
		problems = append(problems, fmt.Sprintf("%s: no rule \"cpp %s:\" in layers.txt", name, dir))
	}
	scanner := bufio.NewScanner(file)
	scanner.Buffer(nil, 1<<20)
	for number := 1; scanner.Scan(); number++ {
		match := include.FindStringSubmatch(scanner.Text())
		if match == nil {
			continue
		}
		if reason := forbidden(rules, root, name, dir, allowed, match[1]); reason != "" {
			problems = append(problems, fmt.Sprintf("%s:%d: %s", name, number, reason))
		}
	}
	return problems, scanner.Err()
}

func forbidden(rules *Rules, root, name, dir string, allowed []string, header string) string {
	for pattern, dirs := range rules.Client {
		if matches(pattern, header) && !contains(dirs, dir) {
			return fmt.Sprintf("<%s> belongs to %s only", header, strings.Join(dirs, ", "))
		}
	}
	if contains(rules.Exception[name], header) {
		return ""
	}
	if !strings.HasPrefix(header, "src/") && !strings.HasPrefix(header, "tools/") {
		if info, err := os.Stat(filepath.Join(root, dir, header)); err == nil && info.Mode().IsRegular() {
			return fmt.Sprintf("write \"%s/%s\": includes count from libstorage/", dir, header)
		}
		return "" // a system header
	}
	target := filepath.Dir(header)
	if target == dir || contains(allowed, target) || contains(allowed, header) {
		return ""
	}
	return fmt.Sprintf("%s must not include %s (allowed: %s)", dir, header, strings.Join(allowed, " "))
}
