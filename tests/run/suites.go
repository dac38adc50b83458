package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Suite is one stanza of suites.conf.
type Suite struct {
	Name    string
	Command string        // for bash, from the repository root
	Parser  string        // gtest, gotest, ctest, tap, exit or build
	Limit   time.Duration // killed after
	Slots   int           // cores it keeps busy; all of them: timing-sensitive, runs alone
	Waits   bool          // for servers and clocks, part of its time: counts half
	Needs   []string      // suites that must have passed
	Inputs  []string      // what its result depends on, for -resume
	Only    string        // "" or the one class it belongs to
	Env     []string      // with those of the class
}

// Load is what it takes of the cores, in halves of one.
func (s *Suite) Load() int {
	if s.Waits {
		return s.Slots
	}
	return 2 * s.Slots
}

// ReadSuites parses path for a class (sample or full). Errors name the line.
func ReadSuites(path, class string, cores int) ([]*Suite, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var all []*Suite
	var current *Suite
	scanner := bufio.NewScanner(file)
	for number := 1; scanner.Scan(); number++ {
		line := strings.TrimSpace(scanner.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, value, ok := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		if !ok {
			return nil, fmt.Errorf("%s:%d: want \"key: value\"", path, number)
		}
		if key == "suite" {
			current = &Suite{Name: value, Parser: "exit", Limit: 10 * time.Minute, Slots: 1}
			all = append(all, current)
			continue
		}
		if current == nil {
			return nil, fmt.Errorf("%s:%d: %q before the first suite", path, number, key)
		}
		if err := current.set(key, value, class, cores); err != nil {
			return nil, fmt.Errorf("%s:%d: %v", path, number, err)
		}
	}
	if err := scanner.Err(); err != nil {
		return nil, err
	}
	return checkSuites(path, all, class)
}

func (s *Suite) set(key, value, class string, cores int) (err error) {
	switch key {
	case "run":
		s.Command = value
	case "parse":
		if newParser(value) == nil {
			return fmt.Errorf("unknown parser %q", value)
		}
		s.Parser = value
	case "limit":
		s.Limit, err = time.ParseDuration(value)
	case "limit-full":
		if class == "full" {
			s.Limit, err = time.ParseDuration(value)
		}
	case "slots":
		if value == "all" {
			s.Slots = cores
		} else if s.Slots, err = strconv.Atoi(value); s.Slots > cores {
			s.Slots = cores
		}
	case "waits":
		s.Waits, err = strconv.ParseBool(value)
	case "needs":
		s.Needs = strings.Fields(value)
	case "inputs":
		s.Inputs = strings.Fields(value)
	case "only":
		s.Only = value
	case "env":
		s.Env = append(s.Env, strings.Fields(value)...)
	case "env-sample", "env-full":
		if key == "env-"+class {
			s.Env = append(s.Env, strings.Fields(value)...)
		}
	default:
		return fmt.Errorf("unknown key %q", key)
	}
	return err
}

// checkSuites drops what another class owns and refuses dangling or forward needs.
func checkSuites(path string, all []*Suite, class string) ([]*Suite, error) {
	seen := map[string]bool{}
	var chosen []*Suite
	for _, s := range all {
		if s.Command == "" {
			return nil, fmt.Errorf("%s: suite %s has no run line", path, s.Name)
		}
		for _, need := range s.Needs {
			if !seen[need] {
				return nil, fmt.Errorf("%s: suite %s needs %s, which does not stand above it", path, s.Name, need)
			}
		}
		if seen[s.Name] {
			return nil, fmt.Errorf("%s: a second suite %s", path, s.Name)
		}
		seen[s.Name] = true
		if s.Only == "" || s.Only == class {
			chosen = append(chosen, s)
		}
	}
	return chosen, nil
}

// Choose keeps the named suites and what they need; nil keeps all.
func Choose(all []*Suite, names []string) ([]*Suite, error) {
	if len(names) == 0 {
		return all, nil
	}
	byName := map[string]*Suite{}
	for _, s := range all {
		byName[s.Name] = s
	}
	wanted := map[string]bool{}
	var add func(name string) error
	add = func(name string) error {
		s, ok := byName[name]
		if !ok {
			return fmt.Errorf("no suite %q in this class; -list shows them", name)
		}
		wanted[name] = true
		for _, need := range s.Needs {
			if err := add(need); err != nil {
				return err
			}
		}
		return nil
	}
	for _, name := range names {
		if err := add(name); err != nil {
			return nil, err
		}
	}
	var chosen []*Suite
	for _, s := range all {
		if wanted[s.Name] {
			chosen = append(chosen, s)
		}
	}
	return chosen, nil
}

// ReadSkips parses the allow-list: "suite test reason...". A test may end in *.
func ReadSkips(path string) (map[string]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	allowed := map[string]string{}
	for number, line := range strings.Split(string(text), "\n") {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if len(words) < 3 {
			return nil, fmt.Errorf("%s:%d: want \"suite test reason\"", path, number+1)
		}
		allowed[words[0]+" "+words[1]] = strings.Join(words[2:], " ")
	}
	return allowed, nil
}

func skipAllowed(allowed map[string]string, suite, test string) bool {
	for pattern := range allowed {
		prefix, wild := strings.CutSuffix(pattern, "*")
		if name := suite + " " + test; name == pattern || wild && strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}
