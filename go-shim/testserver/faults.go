package testserver

import "fmt"

// Kill ends the server as a crash does: all its processes at one moment, by SIGKILL.
func (s *Server) Kill() error {
	if err := KillTree(s.pid); err != nil {
		return err
	}
	s.stop() // reaps it
	return nil
}

// Restart starts it again after Kill, on its data and its port, and returns once it
// answers.
func (s *Server) Restart() error {
	ended := make(chan error, 1)
	if err := s.run(ended); err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	return s.awaitAnswer(ended)
}

// Pause stops all its processes. Clients see a server that is silent.
func (s *Server) Pause() error { return PauseTree(s.pid) }

// Resume after Pause.
func (s *Server) Resume() { ResumeTree(s.pid) }

// Name of the kind: "postgresql", "mariadb" or "etcd".
func (s *Server) Name() string { return s.name }

// Address is where it listens; EndpointAt puts something in between.
func (s *Server) Address() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

// EndpointAt is the endpoint of a database through another port of this machine.
func (s *Server) EndpointAt(port int, database string) string {
	elsewhere := &Server{kind: s.kind, dir: s.dir, port: port}
	return elsewhere.Endpoint(database)
}
