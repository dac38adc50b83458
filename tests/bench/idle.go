package main

import (
	"bufio"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

const (
	idleSettle = 5 * time.Second // what a start and writes still have to do
	idleWindow = 15 * time.Second
)

// runIdle: some objects, a watcher, and nobody who does anything. The rate is that of
// the queries that the server got; a "call" is a second.
func (c *child) runIdle() error {
	if err := c.fill("idle", 0, 100); err != nil {
		return err
	}
	rv, err := c.revision()
	if err != nil {
		return err
	}
	ctx, cancel := contextFor(time.Minute)
	defer cancel()
	w, err := c.store.Watch(ctx, "/pods", optionsFrom(rv))
	if err != nil {
		return err
	}
	defer w.Stop()
	time.Sleep(idleSettle)
	seconds := int(idleWindow / time.Second)
	return c.account("idle", seconds, func(sample *Sample) ([]time.Duration, error) {
		before, err := c.queries()
		if err != nil {
			return nil, err
		}
		time.Sleep(idleWindow)
		after, err := c.queries()
		sample.Rate = float64(after-before) / float64(seconds)
		return nil, err
	})
}

// queriesOf returns a count of the statements that the server got from its clients,
// those of the count itself left out.
func queriesOf(d *database) (func() (int64, error), error) {
	if !strings.HasPrefix(d.endpoint, "mysql://") {
		return func() (int64, error) { return postgresQueries(d) }, nil
	}
	config, err := mysql.ParseDSN(strings.TrimPrefix(d.endpoint, "mysql://"))
	if err != nil {
		return nil, err
	}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(1)
	own := int64(0)
	return func() (int64, error) {
		var name string
		var n int64
		own++ // each count is a statement
		err := db.QueryRow("SHOW GLOBAL STATUS LIKE 'Questions'").Scan(&name, &n)
		return n - own, err
	}, nil
}

// statements in PostgreSQL's log, one line each whatever their text.
var statementLine = regexp.MustCompile(`LOG:  (statement|execute [^:]*): `)

// postgresQueries makes the server log each statement, from its first call on, and
// counts them: pg_stat_database counts transactions, those of autovacuum among them.
func postgresQueries(d *database) (int64, error) {
	if _, err := d.server.Query("bench", "SHOW log_statement"); err != nil {
		return 0, err
	}
	for _, statement := range []string{"ALTER SYSTEM SET log_statement = 'all'", "SELECT pg_reload_conf()"} {
		if _, err := d.server.Query("bench", statement); err != nil {
			return 0, err
		}
	}
	log, err := os.Open(filepath.Join(d.server.Dir(), "log"))
	if err != nil {
		return 0, err
	}
	defer log.Close()
	return countStatements(log)
}

// countStatements leaves out what counting itself sends.
func countStatements(log io.Reader) (int64, error) {
	var n int64
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		line := lines.Text()
		own := strings.Contains(line, "log_statement") || strings.Contains(line, "pg_reload_conf")
		if statementLine.MatchString(line) && !own {
			n++
		}
	}
	return n, lines.Err()
}

// etcdQueries counts the messages that etcd received: requests, and those on streams.
func etcdQueries(url string) (int64, error) {
	answer, err := http.Get(url + "/metrics")
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	return sumMetric(answer.Body, "grpc_server_msg_received_total")
}

// sumMetric over all labels, of Prometheus' text form.
func sumMetric(text io.Reader, name string) (int64, error) {
	var sum float64
	found := false
	lines := bufio.NewScanner(text)
	for lines.Scan() {
		rest, ok := strings.CutPrefix(lines.Text(), name+"{")
		if !ok {
			continue
		}
		value, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
		if err != nil {
			return 0, err
		}
		sum, found = sum+value, true
	}
	if err := lines.Err(); err != nil {
		return 0, err
	}
	if !found {
		return 0, fmt.Errorf("the server has no metric %s", name)
	}
	return int64(sum), nil
}
