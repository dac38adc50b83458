// Package layers checks the include and import arrows that layers.txt allows.
package layers

import (
	"bufio"
	"fmt"
	"os"
	"strings"
)

// Rules is layers.txt, parsed.
type Rules struct {
	Cpp       map[string][]string // directory -> directories it may include
	Exception map[string][]string // file -> headers it may include on top
	Client    map[string][]string // header pattern -> directories that may include it
	Go        map[string][]string // package -> packages of the module it may import
	GoForbid  map[string][]string // package -> import patterns it must not use
	Cgo       map[string]bool     // packages with import "C"
}

// ReadRules parses a rule file; an error names file and line.
func ReadRules(path string) (*Rules, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	rules := &Rules{map[string][]string{}, map[string][]string{}, map[string][]string{},
		map[string][]string{}, map[string][]string{}, map[string]bool{}}
	tables := map[string]map[string][]string{"cpp": rules.Cpp, "exception": rules.Exception,
		"client": rules.Client, "go": rules.Go, "goforbid": rules.GoForbid}
	scanner := bufio.NewScanner(file)
	for number := 1; scanner.Scan(); number++ {
		line, _, _ := strings.Cut(scanner.Text(), "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if words[0] == "cgo" {
			for _, pkg := range words[1:] {
				rules.Cgo[pkg] = true
			}
			continue
		}
		table, known := tables[words[0]]
		if !known || len(words) < 2 || !strings.HasSuffix(words[1], ":") {
			return nil, fmt.Errorf("%s:%d: want \"cpp|exception|client|go|goforbid NAME: ...\" or \"cgo DIR...\"", path, number)
		}
		name := strings.TrimSuffix(words[1], ":")
		if _, twice := table[name]; twice {
			return nil, fmt.Errorf("%s:%d: a second rule for %s %s", path, number, words[0], name)
		}
		table[name] = words[2:]
	}
	return rules, scanner.Err()
}

// matches: exact, or a prefix when the pattern ends in "/*".
func matches(pattern, name string) bool {
	if prefix, wild := strings.CutSuffix(pattern, "*"); wild {
		return strings.HasPrefix(name, prefix)
	}
	return pattern == name
}

func contains(list []string, name string) bool {
	for _, item := range list {
		if item == name {
			return true
		}
	}
	return false
}
