package store

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/libstorage/go-shim/kv"
	"github.com/libstorage/go-shim/native"
	"github.com/libstorage/go-shim/testserver"
)

// databases are what upstream's suite runs on.
var databases = []struct {
	name    string
	options func(t testing.TB) native.Options
}{
	{"memory", memoryDB},
	{"sqlite", func(t testing.TB) native.Options {
		return native.Options{DefaultEndpoint: "sqlite://" + filepath.Join(t.TempDir(), "default.db")}
	}},
	{"three-files", func(t testing.TB) native.Options {
		dir := t.TempDir()
		return native.Options{
			DefaultEndpoint: "sqlite://" + filepath.Join(dir, "default.db"),
			// The suite's keys are /pods/NAMESPACE/NAME for the most part.
			TopologyText: fmt.Sprintf(`
backends:
- endpoint: sqlite://%s
  name: ends
  regexp: {key: "(bar|[02468])$"}
- endpoint: sqlite://%s
  name: namespaces
  prefix: {prefix: "pods/test-*"}
`, filepath.Join(dir, "ends.db"), filepath.Join(dir, "namespaces.db")),
		}
	}},
	{"postgres", func(t testing.TB) native.Options {
		return native.Options{DefaultEndpoint: testserver.Postgres(t)}
	}},
	{"mariadb", func(t testing.TB) native.Options {
		return native.Options{DefaultEndpoint: testserver.MariaDB(t)}
	}},
	{"etcd", func(t testing.TB) native.Options {
		return native.Options{DefaultEndpoint: testserver.Etcd(t)}
	}},
	{"all-kinds", func(t testing.TB) native.Options {
		return native.Options{
			DefaultEndpoint: "sqlite://" + filepath.Join(t.TempDir(), "default.db"),
			TopologyText: fmt.Sprintf(`
backends:
- endpoint: %s
  name: ends
  regexp: {key: "(bar|[02468])$"}
- endpoint: %s
  name: odd
  regexp: {key: "[13579]$"}
- endpoint: %s
  name: namespaces
  prefix: {prefix: "pods/test-*"}
`, testserver.Postgres(t), testserver.Etcd(t), testserver.MariaDB(t)),
		}
	}},
}

func TestMain(m *testing.M) { testserver.Main(m) }

var memoryNames atomic.Int64

func memoryDB(testing.TB) native.Options {
	name := fmt.Sprintf("memory://store%d", memoryNames.Add(1))
	return native.Options{DefaultEndpoint: name, MetadataEndpoint: name + ".meta", AllowMemory: true}
}

func openDB(t testing.TB, o native.Options) *native.Store {
	t.Helper()
	o.Log = func(level native.LogLevel, message string) {
		if level == native.LogError {
			t.Logf("libstorage: %s", message)
		}
	}
	db, err := native.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("closing the database: %v", err)
		}
	})
	return db
}

// newDB is an empty database in memory, whose results turn to garbage when they
// are released: who kept a view shows it.
func newDB(t testing.TB) kv.Store { return poisoned{openDB(t, memoryDB(t))} }

// poisoned copies what it hands out, and spoils the copies on release.
type poisoned struct{ kv.Store }

type copies [][]byte

func (c *copies) of(b []byte) []byte {
	b = slices.Clone(b)
	*c = append(*c, b)
	return b
}

func (c *copies) spoil() {
	for _, b := range *c {
		for i := range b {
			b[i] = 0xDB
		}
	}
}

func poison(r *kv.Result) *kv.Result {
	if r == nil {
		return nil
	}
	var c copies
	p := kv.NewResult(func() { c.spoil(); r.Release() })
	p.Revision, p.More, p.Remaining, p.Count = r.Revision, r.More, r.Remaining, r.Count
	for _, row := range r.KVs {
		row.Key, row.Value = c.of(row.Key), c.of(row.Value)
		p.KVs = append(p.KVs, row)
	}
	return p
}

func (d poisoned) Get(ctx context.Context, r kv.ResourceID, key string, o kv.ReadOptions) (*kv.Result, error) {
	result, err := d.Store.Get(ctx, r, key, o)
	return poison(result), err
}

func (d poisoned) List(ctx context.Context, r kv.ResourceID, start, end string, o kv.ReadOptions) (*kv.Result, error) {
	result, err := d.Store.List(ctx, r, start, end, o)
	return poison(result), err
}

func (d poisoned) Put(ctx context.Context, r kv.ResourceID, key string, value []byte, o kv.PutOptions) (int64, error) {
	rev, err := d.Store.Put(ctx, r, key, value, o)
	return rev, poisonError(err)
}

func (d poisoned) Delete(ctx context.Context, r kv.ResourceID, key string, expected int64) (int64, error) {
	rev, err := d.Store.Delete(ctx, r, key, expected)
	return rev, poisonError(err)
}

func poisonError(err error) error {
	if e, ok := err.(*kv.Error); ok {
		e.Current = poison(e.Current)
	}
	return err
}

func (d poisoned) Watch(ctx context.Context, r kv.ResourceID, start, end string, after int64) (kv.Watcher, error) {
	feed, err := d.Store.Watch(ctx, r, start, end, after)
	if err != nil {
		return nil, err
	}
	return poisonedFeed{feed}, nil
}

type poisonedFeed struct{ kv.Watcher }

func (f poisonedFeed) Next(ctx context.Context) (*kv.Batch, error) {
	b, err := f.Watcher.Next(ctx)
	if b == nil {
		return nil, err
	}
	var c copies
	p := kv.NewBatch(func() { c.spoil(); b.Release() })
	p.Progress = b.Progress
	for _, e := range b.Events {
		e.Key, e.Value, e.Prev = c.of(e.Key), c.of(e.Value), c.of(e.Prev)
		p.Events = append(p.Events, e)
	}
	return p, err
}
