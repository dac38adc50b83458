package testserver

import "fmt"

// Start starts a server, "postgresql" or "mariadb", for a program that is no test.
// Its files are below os.TempDir(), which the account of the server must be able to
// reach. It dies with the program; Close ends it before that.
func Start(name string) (*Server, error) {
	for _, k := range []kind{postgres, mariadb} {
		if k.name == name {
			s, err := start(k)
			if err != nil {
				return nil, fmt.Errorf("starting %s: %w", name, err)
			}
			return s, nil
		}
	}
	return nil, fmt.Errorf("there is no server %q (want postgresql or mariadb)", name)
}

// Close ends the server and removes its files.
func (s *Server) Close() { s.end() }

// Pid of the process that was started; others may be its children.
func (s *Server) Pid() int { return s.pid }

// CreateDatabase creates an empty database with a name.
func (s *Server) CreateDatabase(name string) error {
	if _, err := s.Query(s.admin, "CREATE DATABASE "+name); err != nil {
		return fmt.Errorf("%s: creating the database %s: %w", s.name, name, err)
	}
	return nil
}
