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
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "storeserver:", err)
		os.Exit(1)
	}
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
