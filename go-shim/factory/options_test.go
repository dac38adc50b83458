package factory

import (
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apiserver/pkg/storage/storagebackend"

	"github.com/libstorage/go-shim/native"
)

func config(storageType string, servers ...string) storagebackend.Config {
	c := *storagebackend.NewDefaultConfig("/registry", nil)
	c.Type, c.Transport.ServerList = storageType, servers
	return c
}

// parse gives a config the flags.
func parse(t *testing.T, c *storagebackend.Config, args ...string) {
	t.Helper()
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	addFlags(fs, c)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	addFlags(pflag.NewFlagSet("completed", pflag.ContinueOnError), c) // as upstream does
}

func TestSettings(t *testing.T) {
	plain := settings{history: 4 * time.Hour}
	for _, tc := range []struct {
		name    string
		env     map[string]string
		flags   []string
		servers []string
		want    func(*settings)
	}{
		{name: "nothing given", want: func(*settings) {}},
		{name: "variables", env: map[string]string{
			envTopology: "/etc/t.yaml", envMetadata: "sqlite:///m.db", envHistory: "90m", envCapacity: "5", envSkipVerify: "true", envRestored: "1",
		}, want: func(s *settings) {
			s.topology, s.metadata, s.history, s.restored = "/etc/t.yaml", "sqlite:///m.db", 90*time.Minute, true
			s.metadataTLS.SkipVerify = true
		}},
		{name: "flags win", env: map[string]string{envTopology: "/etc/t.yaml", envMetadata: "sqlite:///m.db"},
			flags: []string{"--topology-config=a.yaml", "--metadata-store=sqlite://b", "--slow-sql-threshold=100ms", "--storage-restored"},
			want: func(s *settings) {
				s.topology, s.metadata, s.slowSQL, s.restored = "a.yaml", "sqlite://b", 100*time.Millisecond, true
			}},
		{name: "TLS", flags: []string{"--metadata-store-cafile=/m/ca", "--metadata-store-certfile=/m/crt", "--metadata-store-keyfile=/m/key"},
			want: func(s *settings) {
				s.metadataTLS = native.TLS{CAFile: "/m/ca", CertFile: "/m/crt", KeyFile: "/m/key"}
			}},
		{name: "for ever", env: map[string]string{envHistory: "0"}, want: func(s *settings) { s.history = 0 }},
		{name: "endpoint", servers: []string{"multi://sqlite://./x.db"}, want: func(s *settings) { s.endpoint = "multi://sqlite://./x.db" }},
		{name: "split endpoint", servers: []string{"multi://http://a:2379", "http://b:2379", "http://c:2379"},
			want: func(s *settings) { s.endpoint = "multi://http://a:2379,http://b:2379,http://c:2379" }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for name, value := range tc.env {
				t.Setenv(name, value)
			}
			c := config(StorageType, tc.servers...)
			parse(t, &c, tc.flags...)
			want := plain
			tc.want(&want)
			copied := c // as the aggregator does
			if got, err := settingsOf(&copied); err != nil || got != want {
				t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
			}
		})
	}
	c := config(StorageType, "multi://https://a:2379")
	c.Transport.TrustedCAFile, c.Transport.CertFile, c.Transport.KeyFile = "/ca", "/crt", "/key"
	t.Setenv(envSkipVerify, "true")
	s, err := settingsOf(&c)
	o := s.native()
	if want := (native.TLS{CAFile: "/ca", CertFile: "/crt", KeyFile: "/key"}); err != nil || o.DefaultTLS != want {
		t.Errorf("%v, TLS of the default database: %+v", err, o.DefaultTLS)
	}
	if want := (native.TLS{SkipVerify: true}); o.MetadataTLS != want {
		t.Errorf("TLS of the metadata store: %+v", o.MetadataTLS)
	}
	forever := settings{history: 0}
	if got := forever.native().HistoryMillis; got >= 0 {
		t.Errorf("history without an end is %d ms for the library", got)
	}
	if got := plain.native().HistoryMillis; got != 4*3600*1000 {
		t.Errorf("four hours are %d ms for the library", got)
	}
}

func TestWrongVariables(t *testing.T) {
	for name, value := range map[string]string{
		envHistory: "4 hours", envCapacity: "many", envSkipVerify: "perhaps", envRestored: "perhaps",
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, value)
			errs := validate(config(StorageType), nil)
			if len(errs) != 1 || !strings.Contains(errs[0].Error(), name+`="`+value+`": write `) {
				t.Errorf("got %v", errs)
			}
		})
	}
	t.Setenv(envHistory, "-1h")
	if errs := validate(config(StorageType), nil); len(errs) != 1 {
		t.Errorf("a negative history: %v", errs)
	}
	if errs := validate(config("etcd3", "http://a"), nil); errs != nil {
		t.Errorf("for a server on etcd: %v", errs)
	}
}

func TestValidate(t *testing.T) {
	for _, tc := range []struct {
		name      string
		config    storagebackend.Config
		flags     []string
		overrides []string
		want      string // "" is no error
	}{
		{name: "embedded", config: config(StorageType)},
		{name: "default database", config: config(StorageType, "multi://http://a:2379", "http://b:2379")},
		{name: "stock server", config: config("", "http://127.0.0.1:2379")},
		{name: "plain endpoint", config: config(StorageType, "http://root:secret@a:2379"),
			want: "with --storage-backend=libstorage write the default database as multi://http://root:***@a:2379, or leave"},
		{name: "overrides", config: config(StorageType), overrides: []string{"/events#http://a:2379"},
			want: "a rule of the topology file (--topology-config) says where"},
		{name: "multi without the backend", config: config("etcd3", "multi://mysql://u:secret@tcp(h:1)/d"),
			want: "--etcd-servers=multi://mysql://u:***@tcp(h:1)/d: add --storage-backend=libstorage"},
		{name: "topology without the backend", config: config("", "http://a"), flags: []string{"--topology-config=t.yaml"},
			want: "--topology-config needs --storage-backend=libstorage"},
		{name: "metadata without the backend", config: config("", "http://a"), flags: []string{"--metadata-store=sqlite://m"},
			want: "--metadata-store needs --storage-backend=libstorage"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			parse(t, &tc.config, tc.flags...)
			errs := validate(tc.config, tc.overrides)
			if tc.want == "" && len(errs) == 0 {
				return
			}
			if len(errs) != 1 || tc.want == "" || !strings.Contains(errs[0].Error(), tc.want) {
				t.Errorf("got %v, want %q", errs, tc.want)
			}
		})
	}
}
