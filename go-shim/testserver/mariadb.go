package testserver

import (
	"fmt"
	"path/filepath"
	"strconv"
)

var mariadb = kind{
	name: "mariadb", account: "mysql", admin: "mysql",
	// A server that starts removes the temporary tables that it finds, also those of others.
	prepare: func(s *Server) error {
		_, err := s.tool("mariadb-install-db", "--no-defaults", "--datadir="+filepath.Join(s.dir, "data"), "--tmpdir="+s.dir,
			"--auth-root-authentication-method=normal", "--skip-test-db")
		return err
	},
	command: func(s *Server) []string {
		return []string{"/usr/sbin/mariadbd", "--no-defaults", "--datadir=" + filepath.Join(s.dir, "data"), "--tmpdir=" + s.dir,
			"--socket=" + filepath.Join(s.dir, "socket"), "--pid-file=" + filepath.Join(s.dir, "pid"),
			"--port=" + strconv.Itoa(s.port), "--bind-address=127.0.0.1", "--max-connections=300"}
	},
	answers: answersSQL,
	client: func(s *Server, database string) []string {
		return []string{"mariadb", "--no-defaults", "-S", filepath.Join(s.dir, "socket"), "-uroot", "-NB", "-D", database, "-e"}
	},
	url: func(s *Server, database string) string {
		return fmt.Sprintf("mysql://root@tcp(127.0.0.1:%d)/%s", s.port, database)
	},
}
