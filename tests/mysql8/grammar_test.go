// Package mysql8 holds what libstorage says to a MySQL server to the grammar of MySQL 8,
// which is not to be had here as a server: that of TiDB's parser. The statements are those
// that the C++ tests send to MariaDB, as its general log has them.
package mysql8

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/pingcap/tidb/pkg/parser"
	_ "github.com/pingcap/tidb/pkg/parser/test_driver"
)

// suites that send every statement there is, with the filter of their tests: tables, an
// upgrade, batches, reads, history, compaction, the metadata store of one server and of
// several.
var suites = map[string]string{
	"backend_mysql_contract_test":  "*",
	"backend_mysql_metadata_test":  "*",
	"backend_shared_metadata_test": "*/mariadb",
	"engine_mysql_test":            "*",
	"engine_shared_start_test":     "*Version1IsUpgraded/mariadb",
}

const build = "../../out/release/libstorage"

// entry of a general log: its time, if it is another one than before, the session, a word.
var entry = regexp.MustCompile(`(?m)^(?:\d{6} [ \d]\d:\d\d:\d\d)?\t+ *(\d+) (Connect|Query|Quit|Init DB|Statistics|Ping|Prepare|Execute|Close stmt)\t? ?`)

// restarted: what a server that is started again writes first.
var restarted = regexp.MustCompile(`(?m)^/usr/sbin/mariadbd, Version: .*\n.*\nTime\t.*\n`)

// snapshot is in the manual of MySQL 8.0 (START TRANSACTION, "characteristics" divided by
// commas) and not in TiDB's grammar, which takes each of the two alone.
const snapshot = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"

// byUs: users of the databases that tests make; root is the tests themselves.
var byUs = regexp.MustCompile(`^d\d+@`)

// statements that a log has of our sessions.
func statements(text string) (all []string) {
	ours := map[string]bool{}
	text = restarted.ReplaceAllString(text, "")
	heads := entry.FindAllStringSubmatchIndex(text, -1)
	for i, head := range heads {
		end := len(text)
		if i+1 < len(heads) {
			end = heads[i+1][0]
		}
		session, word := text[head[2]:head[3]], text[head[4]:head[5]]
		body := strings.TrimSuffix(text[head[1]:end], "\n")
		switch {
		case word == "Connect":
			ours[session] = byUs.MatchString(body)
		case word == "Query" && ours[session]:
			all = append(all, body)
		}
	}
	return all
}

// record runs the suites and returns what they said, each statement once.
func record(t *testing.T) map[string]bool {
	t.Helper()
	logs, err := os.MkdirTemp("", "mariadb-logs-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(logs)
	if err := os.Chmod(logs, 0o777); err != nil { // the server runs as another user
		t.Fatal(err)
	}
	said := map[string]bool{}
	for suite, filter := range suites {
		command := exec.Command(filepath.Join(build, suite), "--gtest_filter="+filter)
		command.Env = append(os.Environ(), "STG_MARIADB_LOGS="+logs)
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", suite, err, out)
		}
		files, err := filepath.Glob(filepath.Join(logs, "*.log"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s left no log: %v", suite, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, statement := range statements(string(text)) {
				said[statement] = true
			}
			os.Remove(file)
		}
	}
	return said
}

func TestEveryStatementIsMySQL8(t *testing.T) {
	said := record(t)
	grammar := parser.New()
	verbs := map[string]int{}
	bad := 0
	for statement := range said {
		read := strings.Replace(statement, snapshot, "START TRANSACTION WITH CONSISTENT SNAPSHOT; START TRANSACTION READ ONLY", 1)
		if _, _, err := grammar.Parse(read, "", ""); err != nil {
			if bad++; bad <= 20 {
				t.Errorf("%.300q: %v", statement, err)
			}
			continue
		}
		verb, _, _ := strings.Cut(strings.ToUpper(strings.TrimSpace(statement)), " ")
		verbs[verb]++
	}
	t.Logf("%d statements: %v", len(said), verbs)
	// A log that is read wrongly must not pass.
	for _, verb := range []string{"ALTER", "CREATE", "DELETE", "INSERT", "SELECT", "SET", "START", "UPDATE"} {
		if verbs[verb] == 0 && bad == 0 {
			t.Errorf("no %s statement was seen", verb)
		}
	}
}

// The parser refuses what only MariaDB knows, and reads MySQL 8's own comments.
func TestTheGrammarIsNotMariaDBs(t *testing.T) {
	grammar := parser.New()
	for _, statement := range []string{
		"ALTER TABLE t ADD COLUMN IF NOT EXISTS c INT RETURNING c",
		"DELETE FROM t RETURNING a",
		"SELECT 1 /*!80000 FROM FROM t*/",
	} {
		if _, _, err := grammar.Parse(statement, "", ""); err == nil {
			t.Errorf("%q is taken", statement)
		}
	}
	for _, statement := range []string{"SET SESSION a=1 /*M!100101 , max_statement_time=2*/", "SELECT 1 /*!80000 FROM t*/"} {
		if _, _, err := grammar.Parse(statement, "", ""); err != nil {
			t.Errorf("%q: %v", statement, err)
		}
	}
}
