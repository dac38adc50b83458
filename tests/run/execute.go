package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// running is a suite that has been started.
type running struct {
	suite   *Suite
	started time.Time
	done    chan struct{} // closed when result is final

	mu     sync.Mutex
	parser parser
	cmd    *exec.Cmd
	ended  *os.ProcessState // nil while it runs, and when it had to be killed
}

// start runs the suite's command in a process group of its own, output to the
// parser and to logs/<name>.log.
func start(s *Suite, root, logs string, env []string) *running {
	r := &running{suite: s, started: time.Now(), done: make(chan struct{}), parser: newParser(s.Parser)}
	go func() {
		defer close(r.done)
		err := r.run(root, filepath.Join(logs, s.Name+".log"), env)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.parser.finish()
		r.judge(err)
	}()
	return r
}

func (r *running) run(root, logPath string, env []string) error {
	log, err := os.Create(logPath)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", r.suite.Command)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), env...)
	for _, setting := range r.suite.Env { // defaults: the caller's own setting wins
		if name, _, _ := strings.Cut(setting, "="); os.Getenv(name) == "" {
			cmd.Env = append(cmd.Env, setting)
		}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	reader, writer, err := os.Pipe()
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = writer, writer
	if err := cmd.Start(); err != nil {
		return err
	}
	writer.Close()
	r.mu.Lock()
	r.cmd = cmd
	r.mu.Unlock()

	read := make(chan struct{})
	go func() { defer close(read); r.read(reader, log) }()
	waited := make(chan error, 1)
	go func() {
		err := cmd.Wait()
		r.mu.Lock()
		r.ended = cmd.ProcessState
		r.mu.Unlock()
		waited <- err
	}()
	select {
	case err = <-waited:
	case <-time.After(r.suite.Limit):
		err = fmt.Errorf("not done after %s", r.suite.Limit)
		r.signal(syscall.SIGQUIT) // Go programs print their goroutines
		select {
		case <-waited:
		case <-time.After(5 * time.Second):
		}
	}
	r.signal(syscall.SIGKILL) // what it left behind
	select {
	case <-read:
	case <-time.After(5 * time.Second): // someone outside the group holds the pipe
		reader.Close()
		<-read
	}
	return err
}

func (r *running) read(from io.ReadCloser, log io.Writer) {
	defer from.Close()
	lines := bufio.NewReaderSize(from, 1<<16)
	for {
		text, err := lines.ReadString('\n')
		if text != "" {
			if text[len(text)-1] == '\n' {
				text = text[:len(text)-1]
			}
			r.mu.Lock()
			out := r.parser.line(text)
			r.mu.Unlock()
			if out != "" || text == "" {
				fmt.Fprintln(log, out)
			}
		}
		if err != nil {
			return
		}
	}
}

func (r *running) signal(sig syscall.Signal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cmd != nil {
		_ = syscall.Kill(-r.cmd.Process.Pid, sig)
	}
}

// judge turns the exit status into a verdict. Holds mu.
func (r *running) judge(err error) {
	res := r.parser.result()
	res.Seconds = time.Since(r.started).Seconds()
	if r.ended != nil {
		res.CPU = (r.ended.UserTime() + r.ended.SystemTime()).Seconds()
	}
	var tail []string
	if p, ok := r.parser.(*patternParser); ok {
		tail = p.lines
	}
	alone := r.suite.Parser == "exit" || r.suite.Parser == "build"
	switch {
	case err != nil && (alone || len(res.Failed) == 0):
		res.fail(fmt.Sprintf("%s: %v", r.suite.Name, err), tail)
	case r.suite.Parser == "exit":
		res.Passed++
	case r.suite.Parser != "build" && res.tests() == 0:
		res.fail(r.suite.Name+": ran no tests", tail)
	}
}

// soFar is safe while the suite runs.
func (r *running) soFar() (passed, failed int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	res := r.parser.result()
	return res.Passed, len(res.Failed)
}
