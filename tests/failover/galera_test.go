package failover

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/libstorage/tests/crash/harness"
)

// TestGaleraCertification: somebody else commits lane transactions through another
// node, as a second server or a session that outlived its proxy would. No lock of a
// row reaches over there: who comes second is turned back at its COMMIT, or earlier.
// That is nobody's conflict, and no write that was acknowledged.
func TestGaleraCertification(t *testing.T) {
	g := newGalera(t)
	targets := servers(t, 1, g)
	before := turnedBack(t, g)
	mustHold(t, targets, foreignLane(g, "objects"))
	if after := turnedBack(t, g); after == before {
		t.Error("no transaction of the server was turned back: nothing was proved")
	} else {
		t.Logf("%d transactions of the server were turned back", after-before)
	}
}

// turnedBack counts transactions of clients of a node that lost to another node's.
func turnedBack(t *testing.T, g *galera) (n int) {
	t.Helper()
	for _, variable := range []string{"wsrep_local_bf_aborts", "wsrep_local_cert_failures"} {
		text, err := g.node(0).Status(variable)
		if err != nil {
			t.Fatal(err)
		}
		count, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		n += count
	}
	return n
}

// foreignLane does on another node what a void does: a new ver in the lane's row.
func foreignLane(g *galera, database string) harness.Fault {
	return harness.Fault{Name: "lane transactions on another node", Strike: func(ctx context.Context, s *harness.Strikes) (string, error) {
		db, err := sql.Open("mysql", "root@tcp("+g.node(1).Address()+")/"+database)
		if err != nil {
			return "", err
		}
		defer db.Close()
		done, lost := 0, 0
		for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			_, err := db.ExecContext(ctx, "UPDATE stg_lane SET ver = ver + 1")
			var answer *mysql.MySQLError
			switch {
			case err == nil:
				done++
			case errors.As(err, &answer) && answer.Number == 1213: // the server was first
				lost++
			default:
				return "", err
			}
		}
		return fmt.Sprintf("%d committed, %d turned back", done, lost), nil
	}}
}
