package main

import (
	"bufio"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"
)

// Shard is one stanza of shards.conf: test packages that run together.
type Shard struct {
	Name     string
	Packages []string      // import paths
	Run      string        // regexp of top-level tests; "" all
	Skip     string        // of those, regexp of the ones that another shard runs; "" none
	CI       string        // the same for SHARD=ci; "" none
	Limit    time.Duration // of each package's tests, on each storage
}

// wants tells whether a top-level test is of this shard.
func (s *Shard) wants(test string) bool {
	matches := func(pattern string) bool { return regexp.MustCompile(pattern).MatchString(test) }
	return matches(s.Run) && (s.Skip == "" || !matches(s.Skip))
}

// suiteOf is a package's name in reports and in expected.txt.
func suiteOf(pkg string) string {
	if short, ok := strings.CutPrefix(pkg, "k8s.io/kubernetes/"); ok {
		return short
	}
	return strings.TrimPrefix(pkg, "k8s.io/")
}

// ReadShards parses shards.conf: "key: value" lines, a stanza from each "shard:".
func ReadShards(path string) ([]*Shard, error) {
	var all []*Shard
	seen := map[string]bool{"ci": true}
	err := eachLine(path, func(line string) error {
		key, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		if key == "shard" {
			if seen[value] || value == "" {
				return fmt.Errorf("a second shard %q", value)
			}
			seen[value] = true
			all = append(all, &Shard{Name: value, Limit: 10 * time.Minute})
			return nil
		}
		if len(all) == 0 {
			return fmt.Errorf("%q before the first shard", key)
		}
		return all[len(all)-1].set(key, value)
	})
	for _, s := range all {
		if err == nil && len(s.Packages) == 0 {
			err = fmt.Errorf("%s: shard %s has no package", path, s.Name)
		}
	}
	return all, err
}

func (s *Shard) set(key, value string) (err error) {
	switch key {
	case "package":
		s.Packages = append(s.Packages, strings.Fields(value)...)
	case "run":
		s.Run = value
		_, err = regexp.Compile(value)
	case "skip":
		s.Skip = value
		_, err = regexp.Compile(value)
	case "ci":
		s.CI = value
		_, err = regexp.Compile(value)
	case "limit":
		s.Limit, err = time.ParseDuration(value)
	default:
		err = fmt.Errorf("unknown key %q", key)
	}
	return err
}

// Choose gives the named shards; "ci" is the part of all shards that fits CI.
func Choose(all []*Shard, names []string) ([]*Shard, error) {
	var chosen []*Shard
	for _, name := range names {
		before := len(chosen)
		for _, s := range all {
			switch {
			case name == "ci" && s.CI != "":
				part := *s
				part.Name, part.Run, part.Skip = "ci-"+s.Name, s.CI, ""
				chosen = append(chosen, &part)
			case name == s.Name || name == "all":
				chosen = append(chosen, s)
			}
		}
		if len(chosen) == before {
			return nil, fmt.Errorf("no shard %q in shards.conf", name)
		}
	}
	return chosen, nil
}

// Expectation is one line of expected.txt.
type Expectation struct {
	Suite, Test string
	Verdict     string // na or skip
	Reason      string
}

// covers tells whether a test, or one below it, is meant.
func (e *Expectation) covers(suite, test string) bool {
	return e.Suite == suite && (test == e.Test || strings.HasPrefix(test, e.Test+"/"))
}

// ReadExpected parses expected.txt: "suite test verdict reason".
func ReadExpected(path string) ([]*Expectation, error) {
	var all []*Expectation
	err := eachLine(path, func(line string) error {
		words := strings.Fields(line)
		if len(words) < 6 {
			return fmt.Errorf("want \"suite test na|skip reason\", the reason a sentence")
		}
		e := &Expectation{words[0], words[1], words[2], strings.Join(words[3:], " ")}
		if e.Verdict != "na" && e.Verdict != "skip" {
			return fmt.Errorf("unknown verdict %q", e.Verdict)
		}
		all = append(all, e)
		return nil
	})
	return all, err
}

// eachLine calls do with each line that is neither empty nor a comment.
func eachLine(path string, do func(line string) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	scanner := bufio.NewScanner(file)
	for number := 1; scanner.Scan(); number++ {
		line := strings.TrimSpace(scanner.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := do(line); err != nil {
			return fmt.Errorf("%s:%d: %w", path, number, err)
		}
	}
	return scanner.Err()
}
