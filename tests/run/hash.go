package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
)

// contentHash names what a suite's result depends on: its stanza and every file
// that git knows or would add under its inputs (none named: the whole tree).
func contentHash(root string, s *Suite) string {
	hash := sha256.New()
	fmt.Fprintln(hash, s.Command, s.Parser, s.Env)
	args := append([]string{"ls-files", "-z", "--cached", "--others", "--exclude-standard", "--"}, s.Inputs...)
	cmd := exec.Command("git", args...)
	cmd.Dir = root
	listing, err := cmd.Output()
	if err != nil {
		fmt.Fprintln(hash, "no git:", err, os.Getpid()) // never equal to another run
	}
	names := strings.Split(strings.TrimRight(string(listing), "\x00"), "\x00")
	sort.Strings(names)
	for _, name := range names {
		file, err := os.Open(filepath.Join(root, name))
		if err != nil {
			continue // listed and deleted
		}
		fmt.Fprintln(hash, name)
		_, _ = io.Copy(hash, file)
		file.Close()
	}
	return hex.EncodeToString(hash.Sum(nil))[:16]
}
