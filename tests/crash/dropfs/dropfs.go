// Package dropfs mounts the file system of tests/crash/fs and pulls its plug.
//
// A power loss is: Crash (or Arm and Wait), kill the processes that use the
// mount, Restart. Between Crash and Restart no request is answered: whoever
// touches the mount waits, and a killed process ends only at Restart.
package dropfs

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// FS is a mounted file system.
type FS struct {
	Mount string // where programs find it

	backing string
	control string
	limit   int64
	daemon  *exec.Cmd
}

// Status is what the daemon says of itself. The last seven are of the crash.
type Status struct {
	Frozen  bool  `json:"frozen"`  // the power is off
	Changes int64 `json:"changes"` // requests that changed something or synced
	Syncs   int64 `json:"syncs"`
	Used    int64 `json:"used"`
	Limit   int64 `json:"limit"`

	KeepPercent int   `json:"keep_percent"`
	SectorsKept int64 `json:"sectors_kept"`
	SectorsLost int64 `json:"sectors_lost"`
	FilesTorn   int64 `json:"files_torn"`
	SizesLost   int64 `json:"sizes_lost"`
	EntriesKept int64 `json:"entries_kept"`
	EntriesLost int64 `json:"entries_lost"`

	Error string `json:"error"`
}

// DrawPercent as keepPercent: the seed decides how much survives.
const DrawPercent = -1

// New mounts a fresh volume in dir, which must be empty or absent. limit 0 is none.
func New(dir string, limit int64) (*FS, error) {
	fs := &FS{
		Mount:   filepath.Join(dir, "mnt"),
		backing: filepath.Join(dir, "disk"),
		control: filepath.Join(dir, "control"),
		limit:   limit,
	}
	if err := os.MkdirAll(fs.Mount, 0o755); err != nil {
		return nil, err
	}
	return fs, fs.start()
}

func (fs *FS) start() error {
	binaries, err := Build()
	if err != nil {
		return err
	}
	fs.daemon = exec.Command(binaries.Daemon, "--backing="+fs.backing, "--control="+fs.control,
		fmt.Sprintf("--limit=%d", fs.limit), fs.Mount)
	fs.daemon.Stderr = os.Stderr
	// The daemon outlives Ctrl-C of the test, which has to unmount first.
	fs.daemon.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdout, err := fs.daemon.StdoutPipe()
	if err != nil {
		return err
	}
	if err := fs.daemon.Start(); err != nil {
		return err
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
		return fmt.Errorf("dropfs said %q (%v), ended: %v", line, err, fs.daemon.Wait())
	}
	return nil
}

// Crash cuts the power now.
func (fs *FS) Crash(seed uint64, keepPercent int) (Status, error) {
	return fs.command(withPercent(fmt.Sprintf("crash %d", seed), keepPercent))
}

// Arm cuts the power before the n-th next change or sync.
func (fs *FS) Arm(n int, seed uint64, keepPercent int) error {
	_, err := fs.command(withPercent(fmt.Sprintf("arm %d %d", n, seed), keepPercent))
	return err
}

func withPercent(command string, percent int) string {
	if percent == DrawPercent {
		return command
	}
	return fmt.Sprintf("%s %d", command, percent)
}

// Wait returns once the power is off.
func (fs *FS) Wait() (Status, error) { return fs.command("wait") }

// SetLimit changes the size of the volume; 0 is no limit.
func (fs *FS) SetLimit(bytes int64) error {
	_, err := fs.command(fmt.Sprintf("limit %d", bytes))
	fs.limit = bytes
	return err
}

// SyncAll makes everything durable.
func (fs *FS) SyncAll() error {
	_, err := fs.command("sync")
	return err
}

// Status asks the daemon; it works without power too.
func (fs *FS) Status() (Status, error) { return fs.command("stats") }

// Restart ends the daemon and mounts what is durable: after a crash what
// survived, otherwise everything.
func (fs *FS) Restart() error {
	if err := fs.Close(); err != nil {
		return err
	}
	return fs.start()
}

// Close unmounts. Processes that still wait for an answer get an error.
func (fs *FS) Close() error {
	if err := fs.daemon.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("dropfs: %w", err)
	}
	if err := fs.daemon.Wait(); err != nil {
		return fmt.Errorf("dropfs: %w", err)
	}
	return nil
}

func (fs *FS) command(line string) (Status, error) {
	var status Status
	connection, err := net.Dial("unix", fs.control)
	if err != nil {
		return status, err
	}
	defer connection.Close()
	if _, err := io.WriteString(connection, line+"\n"); err != nil {
		return status, err
	}
	answer, err := io.ReadAll(connection)
	if err != nil {
		return status, err
	}
	if err := json.Unmarshal(answer, &status); err != nil {
		return status, fmt.Errorf("dropfs answered %q: %w", strings.TrimSpace(string(answer)), err)
	}
	if status.Error != "" {
		return status, fmt.Errorf("dropfs: %s: %s", line, status.Error)
	}
	return status, nil
}
