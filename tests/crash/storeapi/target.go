package storeapi

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/libstorage/tests/crash/process"
	"github.com/libstorage/tests/crash/target"
)

// Target runs the program tests/crash/storeserver.
type Target struct {
	Binary   string
	Dir      string   // for its socket and log
	Data     string   // its working directory
	Args     []string // after -socket
	Env      []string
	Metadata string // pattern of the metadata store's files in Data

	client *Client
}

var _ target.Target = (*Target)(nil)

func (t *Target) socket() string { return filepath.Join(t.Dir, "store.sock") }

// Start implements target.Target. The server connects to the notify socket once
// it serves.
func (t *Target) Start(ctx context.Context) (*process.Process, error) {
	for _, path := range []string{t.socket(), t.notify()} {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	listener, err := net.Listen("unix", t.notify())
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	p, err := process.Start(process.Spec{
		Name: "storeserver", Dir: t.Data, Log: t.Dir, Env: t.Env, Path: t.Binary,
		Args: append([]string{"-socket=" + t.socket(), "-notify=" + t.notify()}, t.Args...),
	})
	if err != nil {
		return nil, err
	}
	ready := make(chan error, 1)
	go func() {
		connection, err := listener.Accept()
		if err == nil {
			err = connection.Close()
		}
		ready <- err
	}()
	select {
	case err := <-ready:
		return p, err
	case <-p.Ended():
		return p, p.Failure()
	case <-ctx.Done():
		return p, errors.Join(fmt.Errorf("not ready: %w\n%s", ctx.Err(), p.Tail(20)), p.Kill())
	}
}

func (t *Target) notify() string { return filepath.Join(t.Dir, "notify.sock") }

// Client implements target.Target.
func (t *Target) Client() target.Client {
	if t.client == nil {
		t.client = NewClient(t.socket())
	}
	return t.client
}

// LoseMetadata implements target.Target. The loss itself survives a power cut.
func (t *Target) LoseMetadata() error {
	files, err := filepath.Glob(filepath.Join(t.Data, t.Metadata))
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("no metadata store: %s in %s", t.Metadata, t.Data)
	}
	for _, file := range files {
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	dir, err := os.Open(filepath.Dir(files[0]))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
