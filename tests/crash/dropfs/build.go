package dropfs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
)

// Binaries are what tests/crash/fs builds.
type Binaries struct {
	Daemon string
	NoSync string // LD_PRELOAD of it turns fsync off
}

// Build compiles tests/crash/fs into out/dropfs, or into DROPFS_BUILD. Repeated
// calls cost nothing; several processes may call it at once.
var Build = sync.OnceValues(build)

func build() (Binaries, error) {
	_, file, _, _ := runtime.Caller(0)
	source := filepath.Join(filepath.Dir(file), "..", "fs")
	dir := os.Getenv("DROPFS_BUILD")
	if dir == "" {
		dir = filepath.Join(source, "..", "..", "..", "out", "dropfs")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return Binaries{}, err
	}
	script := `set -e
[ -f "$2/build.ninja" ] || cmake -S "$1" -B "$2" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo
cmake --build "$2"`
	command := exec.Command("flock", dir, "sh", "-c", script, "build", source, dir)
	if out, err := command.CombinedOutput(); err != nil {
		return Binaries{}, fmt.Errorf("building dropfs: %w\n%s", err, out)
	}
	return Binaries{filepath.Join(dir, "dropfs"), filepath.Join(dir, "nosync.so")}, nil
}
