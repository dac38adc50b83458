package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	"k8s.io/apimachinery/pkg/runtime"
)

// rawCallers is how many connections there are, with their statements prepared.
const rawCallers = 64

// raw is the database without a store: prepared statements that commit by themselves,
// with the keys and encoded objects that the stores would write.
type raw struct{ free chan rawConnection }

type rawConnection interface {
	insert(key, value []byte) error
	read(key []byte) ([]byte, error)
	close() error
}

const rawInsert, rawSelect = "INSERT INTO bench_rows VALUES (%s, %s)", "SELECT value FROM bench_rows WHERE k = %s"

func rawOn(server string) opener {
	return func(dir string) (*side, error) {
		d, err := startDatabase(server, dir)
		if err != nil {
			return nil, err
		}
		dial, table := dialPostgres, "CREATE TABLE bench_rows (k bytea PRIMARY KEY, value bytea NOT NULL)"
		if server == "mariadb" {
			dial, table = dialMySQL, "CREATE TABLE bench_rows (k varbinary(1024) PRIMARY KEY, value mediumblob NOT NULL) ENGINE=InnoDB"
		}
		if _, err := d.server.Query("bench", table); err != nil {
			return nil, errors.Join(err, d.close())
		}
		r := &raw{make(chan rawConnection, rawCallers)}
		for range rawCallers {
			connection, err := dial(d.endpoint)
			if err != nil {
				return nil, errors.Join(err, r.close(), d.close())
			}
			r.free <- connection
		}
		s := &side{raw: r, clients: self(), close: r.close}
		return s, d.attach(s)
	}
}

func (r *raw) close() error {
	close(r.free)
	var all []error
	for connection := range r.free {
		all = append(all, connection.close())
	}
	return errors.Join(all...)
}

// with a connection that nobody else uses.
func (r *raw) with(call func(rawConnection) error) error {
	connection := <-r.free
	defer func() { r.free <- connection }()
	return call(connection)
}

func rawKey(set string, i int) []byte { return []byte(storageRoot + podKey(set, i)) }

// creates inserts pods that were encoded beforehand.
func (r *raw) creates(set string, n int) func(i int) error {
	codec := podCodec()
	values := make([][]byte, n)
	for i := range values {
		var err error
		if values[i], err = runtime.Encode(codec, newPod(set, i)); err != nil {
			panic(err) // the same pods as everywhere
		}
	}
	return func(i int) error {
		return r.with(func(c rawConnection) error { return c.insert(rawKey(set, i), values[i]) })
	}
}

func (r *raw) get(set string, among int) func(i int) error {
	return func(int) error {
		return r.with(func(c rawConnection) error {
			value, err := c.read(rawKey(set, rand.Intn(among)))
			if err == nil && len(value) == 0 {
				err = errors.New("the row is empty")
			}
			return err
		})
	}
}

type rawPostgres struct{ *pgconn.PgConn }

func dialPostgres(endpoint string) (rawConnection, error) {
	c, err := pgconn.Connect(background, endpoint)
	if err != nil {
		return nil, err
	}
	for name, text := range map[string]string{"insert": fmt.Sprintf(rawInsert, "$1", "$2"), "select": fmt.Sprintf(rawSelect, "$1")} {
		if _, err := c.Prepare(background, name, text, nil); err != nil {
			return nil, errors.Join(err, c.Close(background))
		}
	}
	return rawPostgres{c}, nil
}

var binary = []int16{1}

func (c rawPostgres) insert(key, value []byte) error {
	return c.ExecPrepared(background, "insert", [][]byte{key, value}, binary, nil).Read().Err
}

func (c rawPostgres) read(key []byte) ([]byte, error) {
	result := c.ExecPrepared(background, "select", [][]byte{key}, binary, binary).Read()
	if result.Err != nil {
		return nil, result.Err
	}
	if len(result.Rows) != 1 {
		return nil, fmt.Errorf("%d rows of %s", len(result.Rows), key)
	}
	return result.Rows[0][0], nil
}

func (c rawPostgres) close() error { return c.Close(context.Background()) }

type rawMySQL struct {
	db        *sql.DB
	put, take *sql.Stmt
}

func dialMySQL(endpoint string) (rawConnection, error) {
	config, err := mysql.ParseDSN(strings.TrimPrefix(endpoint, "mysql://"))
	if err != nil {
		return nil, err
	}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	c := rawMySQL{db: sql.OpenDB(connector)}
	c.db.SetMaxOpenConns(1)
	if c.put, err = c.db.Prepare(fmt.Sprintf(rawInsert, "?", "?")); err == nil {
		c.take, err = c.db.Prepare(fmt.Sprintf(rawSelect, "?"))
	}
	if err != nil {
		return nil, errors.Join(err, c.db.Close())
	}
	return c, nil
}

func (c rawMySQL) insert(key, value []byte) error {
	_, err := c.put.Exec(key, value)
	return err
}

func (c rawMySQL) read(key []byte) ([]byte, error) {
	var value []byte
	err := c.take.QueryRow(key).Scan(&value)
	return value, err
}

func (c rawMySQL) close() error { return c.db.Close() }
