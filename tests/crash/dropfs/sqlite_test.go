package dropfs

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// insertUntilCrash runs sqlite3 in WAL mode at synchronous=FULL, one committed
// row after another, until the power goes at the n-th change. It returns the
// highest row that was acknowledged.
func insertUntilCrash(t *testing.T, fs *FS, n int, seed uint64, percent int, env ...string) int {
	t.Helper()
	client := exec.Command("sqlite3", fs.path("test.db"))
	client.Env = append(os.Environ(), env...)
	var script strings.Builder
	script.WriteString("pragma journal_mode=wal; pragma synchronous=full; pragma wal_autocheckpoint=20;\n")
	script.WriteString("create table if not exists t(id integer primary key, filler text);\n")
	for i := 0; i < 400; i++ {
		script.WriteString("insert into t(filler) values (hex(randomblob(600))) returning 'ack ' || id;\n")
	}
	client.Stdin = strings.NewReader(script.String())
	var out strings.Builder
	client.Stdout = &out
	must(t, client.Start())
	must(t, fs.Arm(n, seed, percent))
	_, err := fs.Wait()
	must(t, err)
	must(t, client.Process.Kill())
	must(t, fs.Restart())
	_ = client.Wait() // killed
	acknowledged := 0
	for _, line := range strings.Split(out.String(), "\n") {
		// The last line may be cut short.
		if _, err := fmt.Sscanf(line, "ack %d", &acknowledged); err != nil && strings.HasPrefix(line, "ack ") {
			t.Log(err)
		}
	}
	return acknowledged
}

func rows(t *testing.T, fs *FS) (count int, integrity string) {
	t.Helper()
	out, err := exec.Command("sqlite3", fs.path("test.db"),
		"pragma integrity_check; select count(*) from t;").CombinedOutput()
	if err != nil {
		return 0, string(out)
	}
	_, err = fmt.Sscanf(string(out), "%s\n%d", &integrity, &count)
	must(t, err)
	return count, integrity
}

// SQLite itself is right, so the layer must agree with it at every point.
func TestSQLiteSurvives(t *testing.T) {
	total := 0
	for _, n := range []int{40, 101, 257, 500} {
		fs := mount(t, 0)
		for round := uint64(0); round < 2; round++ {
			acknowledged := insertUntilCrash(t, fs, n, round, DrawPercent)
			total += acknowledged
			count, integrity := rows(t, fs)
			if integrity != "ok" || count < acknowledged {
				t.Errorf("n %d seed %d: %d rows acknowledged, %d there, integrity %s", n, round, acknowledged, count, integrity)
			}
		}
	}
	if total == 0 {
		t.Error("no power loss came after an acknowledged row")
	}
}

// The same program without fsync must lose: otherwise the layer does not bite.
func TestSQLiteWithoutFsyncLoses(t *testing.T) {
	binaries, err := Build()
	must(t, err)
	fs := mount(t, 0)
	acknowledged := insertUntilCrash(t, fs, 300, 1, 50, "LD_PRELOAD="+binaries.NoSync)
	count, integrity := rows(t, fs)
	if acknowledged == 0 {
		t.Fatal("nothing was acknowledged")
	}
	if integrity == "ok" && count >= acknowledged {
		t.Errorf("all %d rows survived without fsync", acknowledged)
	}
}
