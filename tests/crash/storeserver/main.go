// Program storeserver serves a kv.Store over HTTP, for the crash harness to kill.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/libstorage/go-shim/kv"
	"github.com/libstorage/tests/crash/refstore"
	"github.com/libstorage/tests/crash/storeapi"
	"github.com/libstorage/tests/crash/target"
)

type options struct {
	socket, notify string
	engine         string
	endpoint       string
	metadata       string
	topology       string
	restored       bool
}

func main() {
	var o options
	flag.StringVar(&o.socket, "socket", "", "UNIX socket to serve on")
	flag.StringVar(&o.notify, "notify", "", "UNIX socket to connect to once it serves")
	flag.StringVar(&o.engine, "engine", "native", "native, reference, or reference-nosync")
	flag.StringVar(&o.endpoint, "default", "", "native: endpoint of the default database")
	flag.StringVar(&o.metadata, "metadata", "", "native: endpoint of the metadata store")
	flag.StringVar(&o.topology, "topology", "", "native: topology.yaml")
	flag.BoolVar(&o.restored, "restored", false, "native: the files come from a backup")
	flag.Parse()
	err := run(o)
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "storeserver:", err)
	if errors.Is(err, errUnfit) {
		os.Exit(target.Unfit)
	}
	os.Exit(1)
}

var errUnfit = errors.New("it has to be started again")

// unfit tells when the engine says three times in a row, a second apart, that it cannot go
// on: kube-apiserver's livez fails then, and the kubelet starts it again.
func unfit(store kv.Store) <-chan error {
	said := make(chan error, 1)
	engine, ok := store.(interface{ Check(name string) error })
	if !ok {
		return said
	}
	go func() {
		for failures := 0; ; time.Sleep(time.Second) {
			err := engine.Check("engine")
			if err == nil {
				failures = 0
			} else if failures++; failures == 3 {
				said <- fmt.Errorf("%w: %w", errUnfit, err)
				return
			}
		}
	}()
	return said
}

func open(o options) (kv.Store, error) {
	switch o.engine {
	case "native":
		return openNative(o)
	case "reference":
		return refstore.Open(refstore.Options{Dir: "."})
	case "reference-nosync":
		return refstore.Open(refstore.Options{Dir: ".", NoSync: true})
	}
	return nil, fmt.Errorf("unknown engine %q", o.engine)
}

const keyPrefix = "/registry/configmaps/"

func run(o options) error {
	store, err := open(o)
	if err != nil {
		return err
	}
	id, err := store.Register(kv.Resource{Resource: "configmaps", Kind: "ConfigMap", Root: "/registry/", KeyPrefix: keyPrefix, Namespaced: true})
	if err != nil {
		return err
	}
	listener, err := net.Listen("unix", o.socket)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: storeapi.Handler(store, id, keyPrefix)}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	ready, err := net.Dial("unix", o.notify)
	if err != nil {
		return err
	}
	ready.Close()

	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	select {
	case err := <-served:
		return err
	case err := <-unfit(store):
		return err
	case <-signals:
	}
	// Watches do not end by themselves: calls get a moment, then all is closed.
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return errors.Join(server.Close(), store.Close())
}
