package dropfs

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

func mount(t *testing.T, limit int64) *FS {
	t.Helper()
	fs, err := New(t.TempDir(), limit)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := fs.Close(); err != nil {
			t.Error(err)
		}
	})
	return fs
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (fs *FS) path(name string) string { return filepath.Join(fs.Mount, name) }

func syncPath(t *testing.T, path string) {
	t.Helper()
	file, err := os.Open(path)
	must(t, err)
	defer file.Close()
	must(t, file.Sync())
}

// powerLoss cuts the power, keeps nothing unsynced, and mounts again.
func powerLoss(t *testing.T, fs *FS, percent int) Status {
	t.Helper()
	status, err := fs.Crash(1, percent)
	must(t, err)
	must(t, fs.Restart())
	return status
}

func absent(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s: want it absent, got %v", path, err)
	}
}

func content(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	must(t, err)
	if string(got) != want {
		t.Errorf("%s holds %q, want %q", path, got, want)
	}
}

func TestUnsyncedIsLostAndSyncedIsKept(t *testing.T) {
	fs := mount(t, 0)
	must(t, os.WriteFile(fs.path("a"), []byte("synced"), 0o644))
	must(t, os.WriteFile(fs.path("b"), []byte("not synced"), 0o644))
	syncPath(t, fs.path("a"))
	syncPath(t, fs.Mount)
	must(t, os.WriteFile(fs.path("a"), []byte("over"), 0o644))
	content(t, fs.path("a"), "over")
	powerLoss(t, fs, 0)
	content(t, fs.path("a"), "synced")
	content(t, fs.path("b"), "")
}

func TestAnEntryNeedsASyncOfItsDirectory(t *testing.T) {
	fs := mount(t, 0)
	must(t, os.Mkdir(fs.path("d"), 0o755))
	must(t, os.WriteFile(fs.path("d/kept"), []byte("x"), 0o644))
	syncPath(t, fs.path("d/kept"))
	syncPath(t, fs.path("d"))
	syncPath(t, fs.Mount)
	must(t, os.WriteFile(fs.path("d/lost"), []byte("x"), 0o644))
	syncPath(t, fs.path("d/lost"))
	must(t, os.Rename(fs.path("d/kept"), fs.path("d/renamed")))
	must(t, os.Mkdir(fs.path("lost too"), 0o755))
	powerLoss(t, fs, 0)
	content(t, fs.path("d/kept"), "x")
	absent(t, fs.path("d/lost"))
	absent(t, fs.path("d/renamed"))
	absent(t, fs.path("lost too"))
}

func TestWritesTearAt512Bytes(t *testing.T) {
	fs := mount(t, 0)
	const sectors = 256
	must(t, os.WriteFile(fs.path("f"), bytes.Repeat([]byte("o"), sectors*512), 0o644))
	syncPath(t, fs.path("f"))
	syncPath(t, fs.Mount)
	file, err := os.OpenFile(fs.path("f"), os.O_WRONLY, 0)
	must(t, err)
	_, err = file.Write(bytes.Repeat([]byte("n"), sectors*512))
	must(t, err)
	must(t, file.Close())
	status := powerLoss(t, fs, 50)
	if status.FilesTorn != 1 {
		t.Errorf("want one torn file, got %+v", status)
	}
	after, err := os.ReadFile(fs.path("f"))
	must(t, err)
	news := 0
	for i := 0; i < sectors; i++ {
		sector := after[i*512 : (i+1)*512]
		if bytes.Count(sector, sector[:1]) != 512 {
			t.Fatalf("torn within sector %d", i)
		}
		if sector[0] == 'n' {
			news++
		}
	}
	if news < sectors/4 || news > sectors*3/4 {
		t.Errorf("%d of %d sectors survived, want about half", news, sectors)
	}
}

func TestNothingIsAnsweredWithoutPower(t *testing.T) {
	fs := mount(t, 0)
	must(t, os.WriteFile(fs.path("f"), nil, 0o644))
	must(t, fs.Arm(2, 1, 0))
	// A shell that appends for ever is stopped by the power alone.
	writer := exec.Command("sh", "-c", "while :; do printf x; done >>f")
	writer.Dir = fs.Mount
	must(t, writer.Start())
	status, err := fs.Wait()
	must(t, err)
	if !status.Frozen {
		t.Errorf("want it frozen: %+v", status)
	}
	must(t, writer.Process.Kill())
	must(t, fs.Restart())
	var exit *exec.ExitError
	if err := writer.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("want the writer killed, got %v", err)
	}
	absent(t, fs.path("f"))
}

func TestAFullVolume(t *testing.T) {
	fs := mount(t, 64<<10)
	must(t, os.WriteFile(fs.path("a"), make([]byte, 60<<10), 0o644))
	if err := os.WriteFile(fs.path("b"), make([]byte, 8<<10), 0o644); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("want ENOSPC, got %v", err)
	}
	must(t, fs.SetLimit(128<<10))
	must(t, os.WriteFile(fs.path("b"), make([]byte, 8<<10), 0o644))
	must(t, fs.SetLimit(64<<10))
	must(t, os.Remove(fs.path("a")))
	must(t, os.WriteFile(fs.path("c"), make([]byte, 40<<10), 0o644))
}

// SQLite's WAL index is a shared mapping; every process must see the same.
func TestSharedMappings(t *testing.T) {
	fs := mount(t, 0)
	must(t, os.WriteFile(fs.path("shm"), make([]byte, 32<<10), 0o644))
	open := func() []byte {
		file, err := os.OpenFile(fs.path("shm"), os.O_RDWR, 0)
		must(t, err)
		defer file.Close()
		view, err := syscall.Mmap(int(file.Fd()), 0, 32<<10, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
		must(t, err)
		t.Cleanup(func() { must(t, syscall.Munmap(view)) })
		return view
	}
	one, two := open(), open()
	copy(one[5000:], "shared")
	if got := string(two[5000:5006]); got != "shared" {
		t.Errorf("the second mapping shows %q", got)
	}
	buffer := make([]byte, 6)
	file, err := os.Open(fs.path("shm"))
	must(t, err)
	defer file.Close()
	if _, err := file.ReadAt(buffer, 5000); err != nil || string(buffer) != "shared" {
		t.Errorf("read gives %q, %v", buffer, err)
	}
}
