package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/libstorage/go-shim/testserver"
	"github.com/libstorage/tests/crash/process"
)

// database is a new one on a server of its own, with the settings of its package:
// every commit is synced.
type database struct {
	server   *testserver.Server
	endpoint string
}

func startDatabase(server, dir string) (*database, error) {
	// The account of the server must be able to reach its directory.
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.Chmod(dir, 0o755), os.Setenv("TMPDIR", dir)); err != nil {
		return nil, err
	}
	s, err := testserver.Start(server)
	if err != nil {
		return nil, err
	}
	if err := s.CreateDatabase("bench"); err != nil {
		s.Close()
		return nil, err
	}
	return &database{s, s.Endpoint("bench")}, nil
}

func (d *database) close() error {
	d.server.Close()
	return nil
}

// attach makes the server part of what a side costs, and ends it with the side.
func (d *database) attach(s *side) error {
	s.servers = append(s.servers, d.server.Pid())
	s.before(d.close)
	var err error
	s.queries, err = queriesOf(d)
	if err != nil {
		return errors.Join(err, s.close())
	}
	return nil
}

// kineOn is upstream's etcd3 store over kine, with 64 connections that stay open.
func kineOn(server string) opener {
	return func(dir string) (*side, error) {
		d, err := startDatabase(server, dir)
		if err != nil {
			return nil, err
		}
		address, kine, err := startKine(dir, d.endpoint)
		if err != nil {
			return nil, errors.Join(err, d.close())
		}
		s, err := etcd3At("http://" + address)
		if err != nil {
			return nil, errors.Join(err, kine.Failure(), kine.Kill(), d.close())
		}
		s.servers = processes{kine.Pid()}
		s.before(kine.Kill)
		return s, d.attach(s)
	}
}

// startKine returns once it listens.
func startKine(dir, endpoint string) (address string, kine *process.Process, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	address = listener.Addr().String()
	listener.Close()
	kine, err = process.Start(process.Spec{Name: "kine", Dir: dir, Path: os.Getenv("BENCH_KINE"), Args: []string{
		"--endpoint=" + endpoint, "--listen-address=tcp://" + address, "--metrics-bind-address=0",
		"--datastore-max-open-connections=64", "--datastore-max-idle-connections=64",
	}})
	if err != nil {
		return "", nil, err
	}
	err = await(func() error {
		if err := kine.Failure(); err != nil {
			return err
		}
		c, err := net.Dial("tcp", address)
		if err == nil {
			err = c.Close()
		}
		return err
	})
	if err != nil {
		return "", nil, errors.Join(fmt.Errorf("kine: %w", err), kine.Kill())
	}
	return address, kine, nil
}

// await tries until it works, for a minute.
func await(try func() error) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(time.Minute); ; <-ticker.C {
		err := try()
		if err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

func awaitHealth(url string) error {
	return await(func() error {
		answer, err := http.Get(url + "/health")
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("%s/health: %s", url, answer.Status)
		}
		return nil
	})
}

func contextFor(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(background, d)
}
