package storeapi

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// Build makes the program storeserver, with libstorage of out/release unless
// PKG_CONFIG_PATH says otherwise.
func Build(binary string, flags ...string) error {
	_, here, _, _ := runtime.Caller(0)
	tests := filepath.Join(filepath.Dir(here), "../..")
	command := exec.Command("go", append(append([]string{"build", "-o", binary}, flags...), "./crash/storeserver")...)
	command.Dir, command.Env = tests, os.Environ()
	if os.Getenv("PKG_CONFIG_PATH") == "" {
		command.Env = append(command.Env, "PKG_CONFIG_PATH="+filepath.Join(tests, "../out/release/pkgconfig"))
	}
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s (make library first): %w\n%s", filepath.Base(binary), err, out)
	}
	return nil
}
