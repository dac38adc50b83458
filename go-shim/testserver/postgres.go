package testserver

import (
	"fmt"
	"path/filepath"
	"strconv"
)

const postgresBin = "/usr/lib/postgresql/15/bin/"

var postgres = kind{
	name: "postgresql", account: "postgres", admin: "postgres",
	prepare: func(s *Server) error {
		_, err := s.tool(postgresBin+"initdb", "-D", filepath.Join(s.dir, "data"), "-U", "stg",
			"-A", "trust", "--no-locale", "-E", "UTF8", "--no-instructions")
		return err
	},
	command: func(s *Server) []string {
		return []string{postgresBin + "postgres", "-D", filepath.Join(s.dir, "data"), "-p", strconv.Itoa(s.port),
			"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=" + s.dir, "-c", "max_connections=300"}
	},
	answers: answersSQL,
	client: func(s *Server, database string) []string {
		return []string{"psql", "-h", "127.0.0.1", "-p", strconv.Itoa(s.port), "-U", "stg", "-d", database, "-qXAtc"}
	},
	url: func(s *Server, database string) string {
		return fmt.Sprintf("postgres://stg:secret@127.0.0.1:%d/%s?sslmode=disable", s.port, database)
	},
}
