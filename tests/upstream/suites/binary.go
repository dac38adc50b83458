package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Place has the module in which upstream's tests are compiled (prepare.sh), and the
// tools around it.
type Place struct {
	root, module string
	env          []string // for go and for the tests
}

// NewPlace knows the environment that build/kube/goenv.sh gives.
func NewPlace(root, version string) (*Place, error) {
	p := &Place{root: root, module: filepath.Join(root, "out/upstream", version)}
	script := `. "$0/build/kube/lib.sh"; . "$0/build/kube/goenv.sh"; go_env "$1"; env -0`
	out, err := exec.Command("bash", "-euo", "pipefail", "-c", script, root, p.module).Output()
	if err != nil {
		return nil, fmt.Errorf("the environment of build/kube: %w", err)
	}
	for _, pair := range strings.Split(strings.TrimRight(string(out), "\x00"), "\x00") {
		if !strings.HasPrefix(pair, "KUBE_INTEGRATION_ETCD_URL=") {
			p.env = append(p.env, pair)
		}
	}
	tools := filepath.Join(root, "out/tools/bin")
	p.env = append(p.env, "PATH="+tools+string(os.PathListSeparator)+os.Getenv("PATH"))
	return p, nil
}

// Prepare makes the module and adds our file to the packages.
func (p *Place) Prepare(packages []string) error {
	cmd := exec.Command(filepath.Join(p.root, "tests/upstream/prepare.sh"), packages...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("prepare.sh: %w", err)
	}
	vet := exec.Command("go", "vet", "./upstream/linked") // only here can it compile
	vet.Dir, vet.Env = p.module, p.env
	vet.Stdout, vet.Stderr = os.Stderr, os.Stderr
	return vet.Run()
}

// binary is where a package's tests are. Its name matters: TestApplyScaleSubresource of
// apiextensions-apiserver wants the one that go test gives.
func (p *Place) binary(pkg string) string {
	return filepath.Join(p.module, "bin", strings.ReplaceAll(suiteOf(pkg), "/", "-"), filepath.Base(pkg)+".test")
}

// findThemselves are packages that look for files beside their source: they must know
// where it is. All others are compiled as for the shipped binaries, and shared with those.
var findThemselves = []string{
	"k8s.io/kubernetes/cmd/kube-apiserver/app/testing", "k8s.io/kubernetes/test/...",
	"k8s.io/kubernetes/pkg/controlplane/apiserver/samples/...",
	"k8s.io/apiextensions-apiserver/test/...", "k8s.io/apiextensions-apiserver/pkg/cmd/server/testing",
}

// Build compiles the tests of a package.
func (p *Place) Build(pkg string) error {
	args := []string{"test", "-c", "-vet=off", "-o", p.binary(pkg)}
	// Paths as they are. They are named, because Go's cache does not see the directory of a
	// package that is built with -trimpath, and gave out what another checkout had compiled.
	for _, pattern := range findThemselves {
		args = append(args, fmt.Sprintf("-gcflags=%s=-trimpath=%s=>%s", pattern, p.root, p.root))
	}
	cmd := exec.Command("go", append(args, pkg)...)
	cmd.Dir, cmd.Env = p.module, p.env
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := os.MkdirAll(filepath.Dir(p.binary(pkg)), 0o755); err != nil {
		return err
	}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("the tests of %s do not compile: %w", pkg, err)
	}
	return nil
}

// directory is where the tests expect to run.
func (p *Place) directory(pkg string) string {
	return filepath.Join(p.module, strings.TrimPrefix(pkg, "k8s.io/"))
}

// List gives all top-level tests of a package.
func (p *Place) List(pkg string) ([]string, error) {
	cmd := exec.Command(p.binary(pkg), "-test.list", ".")
	cmd.Dir = p.directory(pkg)
	cmd.Env = append(slices.Clone(p.env), "UPSTREAM_STORAGE=etcd") // a facade would be of no use
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("listing the tests of %s: %w", pkg, err)
	}
	var tests []string
	for _, line := range strings.Fields(string(out)) {
		if strings.HasPrefix(line, "Test") {
			tests = append(tests, line)
		}
	}
	return tests, nil
}

// exact is a pattern of -test.run for some tests.
func exact(tests []string) string {
	quoted := make([]string, len(tests))
	for i, test := range tests {
		quoted[i] = regexp.QuoteMeta(test)
	}
	return "^(" + strings.Join(quoted, "|") + ")$"
}

// Run runs tests of a package once and collects what they say. An error is none of
// the tests: those that fail are in the collector.
func (p *Place) Run(ctx context.Context, pkg string, tests []string, env []string, c *collector, log io.Writer) error {
	deadline, _ := ctx.Deadline()
	cmd := exec.CommandContext(ctx, "go", "tool", "test2json", "-t", "-p", pkg, p.binary(pkg),
		"-test.v=test2json", "-test.run", exact(tests),
		"-test.timeout", max(time.Until(deadline)-5*time.Second, time.Second).String())
	cmd.Dir, cmd.Env = p.directory(pkg), append(slices.Clone(p.env), env...)
	cmd.Stderr = log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	readErr := c.read(stdout, log)
	err = cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) && ctx.Err() == nil {
		return err
	}
	return readErr
}
