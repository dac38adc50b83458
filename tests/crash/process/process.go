// Package process starts the servers that tests kill.
package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/libstorage/go-shim/testserver"
)

// Spec of a process. Its output is appended to Dir/Name.log.
type Spec struct {
	Name string
	Dir  string // working directory
	Log  string // directory of the log; "" is Dir
	Env  []string
	Path string
	Args []string
}

// Process that was started.
type Process struct {
	spec  Spec
	log   string
	cmd   *exec.Cmd
	ended chan struct{}
	err   error // valid once ended is closed
}

// Start it. It dies with this process.
func Start(spec Spec) (*Process, error) {
	p := &Process{spec: spec, ended: make(chan struct{})}
	if spec.Log == "" {
		spec.Log = spec.Dir
	}
	p.log = filepath.Join(spec.Log, spec.Name+".log")
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	fmt.Fprintf(out, "## %s %s\n", spec.Path, strings.Join(spec.Args, " "))
	p.cmd = exec.Command(spec.Path, spec.Args...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = spec.Dir, out, out
	p.cmd.Env = append(os.Environ(), spec.Env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", spec.Name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// Pid of the process.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Ended is closed when it has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Kill sends SIGKILL without waiting: a process that waits for a file system
// without power ends only when that is back.
func (p *Process) Kill() error {
	if err := p.cmd.Process.Kill(); !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// Pause stops it: it is silent, and keeps all it has.
func (p *Process) Pause() error { return testserver.PauseTree(p.Pid()) }

// Resume after Pause.
func (p *Process) Resume() { testserver.ResumeTree(p.Pid()) }

// Terminate asks it to end in order and waits.
func (p *Process) Terminate(ctx context.Context) error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return p.Wait(ctx)
}

// Wait for its end, however it came.
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-p.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s has not ended: %w\n%s", p.spec.Name, ctx.Err(), p.Tail(20))
	}
}

// Failure says how it ended by itself; nil while it runs.
func (p *Process) Failure() error {
	select {
	case <-p.ended:
		return fmt.Errorf("%s ended: %v\n%s", p.spec.Name, p.err, p.Tail(20))
	default:
		return nil
	}
}

// ExitCode of a process that has ended; -1 when a signal ended it.
func (p *Process) ExitCode() int {
	<-p.ended
	return p.cmd.ProcessState.ExitCode()
}

// Tail is the end of its log.
func (p *Process) Tail(lines int) string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	all := bytes.Split(bytes.TrimRight(text, "\n"), []byte("\n"))
	return string(bytes.Join(all[max(0, len(all)-lines):], []byte("\n")))
}
