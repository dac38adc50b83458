package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/libstorage/tests/crash/apiserver"
)

// kube is a running kube-apiserver with the custom resource that is measured.
type kube struct {
	server *apiserver.Server
	client *http.Client
}

const widgets = "/apis/bench.example.com/v1/namespaces/default/widgets"

const widgetDefinition = `{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition",
"metadata":{"name":"widgets.bench.example.com"},"spec":{"group":"bench.example.com","scope":"Namespaced",
"names":{"plural":"widgets","singular":"widget","kind":"Widget","listKind":"WidgetList"},
"versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object","properties":{
"spec":{"type":"object","properties":{"color":{"type":"string"},"size":{"type":"integer"},"notes":{"type":"string"},
"parts":{"type":"array","items":{"type":"object","properties":{"name":{"type":"string"},"image":{"type":"string"},
"count":{"type":"integer"}}}}}}}}}}]}}`

// widget is an object of about 1.7 KB of JSON.
func widget(name string, i int) []byte {
	type part struct {
		Name  string `json:"name"`
		Image string `json:"image"`
		Count int    `json:"count"`
	}
	var parts []part
	for p := range 8 {
		parts = append(parts, part{fmt.Sprintf("part-%d", p), fmt.Sprintf("registry.example.com/team-%d/part-%d:v1.%d", i%10, p, i%7), i + p})
	}
	data, err := json.Marshal(map[string]any{
		"apiVersion": "bench.example.com/v1", "kind": "Widget",
		"metadata": map[string]any{
			"name": name, "namespace": "default",
			"labels":      map[string]string{"app": fmt.Sprintf("app-%d", i%100), "tier": "backend"},
			"annotations": map[string]string{"example.com/description": strings.Repeat("a widget of the benchmark ", 10)},
		},
		"spec": map[string]any{"color": "blue", "size": i, "notes": strings.Repeat("neither short nor long ", 22), "parts": parts},
	})
	if err != nil {
		panic(err) // strings and numbers alone
	}
	return data
}

func newHTTPClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 64,
	}}
}

// openKubeStock starts etcd and upstream's server with its default settings, the
// watch cache among them.
func openKubeStock(dir string) (*side, error) {
	etcd, err := apiserver.StartEtcd(os.Getenv("BENCH_ETCD"), dir)
	if err != nil {
		return nil, err
	}
	s, err := openKube(apiserver.Server{Binary: os.Getenv("BENCH_STOCK_APISERVER"), Dir: dir, Flags: []string{"--etcd-servers=" + etcd.URL}})
	if err != nil {
		return nil, errors.Join(err, etcd.Kill())
	}
	s.servers = append(s.servers, etcd.Pid())
	s.before(etcd.Kill)
	return s, nil
}

// openKubePatched starts the patched server on one SQLite file.
func openKubePatched(dir string, flags ...string) (*side, error) {
	database := filepath.Join(dir, "db", "default.db")
	return openKube(apiserver.Server{
		Binary: os.Getenv("BENCH_PATCHED_APISERVER"), Dir: dir,
		Flags: append([]string{"--storage-backend=libstorage", "--etcd-servers=multi://sqlite://" + database}, flags...),
	})
}

func openKube(server apiserver.Server) (*side, error) {
	ctx, cancel := context.WithTimeout(background, 2*time.Minute)
	defer cancel()
	k := &kube{client: newHTTPClient()}
	var err error
	if k.server, err = apiserver.New(server); err != nil {
		return nil, err
	}
	process, err := k.server.Start(ctx)
	if err != nil {
		return nil, err
	}
	s := &side{kube: k, servers: processes{process.Pid()}}
	s.close = func() error {
		ctx, cancel := context.WithTimeout(background, time.Minute)
		defer cancel()
		return process.Terminate(ctx)
	}
	if err := k.defineWidgets(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// defineWidgets returns once widgets can be created.
func (k *kube) defineWidgets(ctx context.Context) error {
	if err := k.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", []byte(widgetDefinition)); err != nil {
		return err
	}
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := k.post(widgets, widget("first", 0))
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("widgets cannot be created: %w", err)
		}
	}
}

func (k *kube) request(method, path string, body []byte) (*http.Request, error) {
	r, err := http.NewRequest(method, k.server.Host()+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+apiserver.Token)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	return r, nil
}

// post reads and drops the answer.
func (k *kube) post(path string, body []byte) error {
	r, err := k.request(http.MethodPost, path, body)
	if err != nil {
		return err
	}
	answer, err := k.client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusCreated {
		text, _ := io.ReadAll(answer.Body)
		return fmt.Errorf("POST %s: %s: %.300s", path, answer.Status, text)
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}

// creates returns a call that creates the i-th widget of a set, made beforehand.
func (k *kube) creates(set string, n int) func(i int) error {
	bodies := make([][]byte, n)
	for i := range bodies {
		bodies[i] = widget(podName(set, i), i)
	}
	return func(i int) error { return k.post(widgets, bodies[i]) }
}

func (c *child) runKubeCreate() error {
	n := scaled(10000)
	return c.measure("kube-create", 64, n, c.kube.creates("created", n))
}
