package factory

import (
	"bytes"
	"flag"
	"fmt"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"k8s.io/apiserver/pkg/server/options"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/klog/v2"
)

// The passwords of this file all contain this word.
const geheim = "geh3im"

// logged is what klog writes while body runs, with all that -v=9 adds.
func logged(t *testing.T, body func()) string {
	t.Helper()
	fs := flag.NewFlagSet("klog", flag.PanicOnError)
	klog.InitFlags(fs)
	defer klog.CaptureState().Restore()
	for name, value := range map[string]string{"v": "9", "logtostderr": "false", "alsologtostderr": "false", "stderrthreshold": "FATAL"} {
		if err := fs.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	klog.SetOutput(&out)
	body()
	klog.Flush()
	return out.String()
}

// upstreamFlags are those of a server, ours among them.
func upstreamFlags() (*options.EtcdOptions, *pflag.FlagSet) {
	c := config(StorageType)
	o := options.NewEtcdOptions(&c)
	fs := pflag.NewFlagSet("server", pflag.ContinueOnError)
	o.AddFlags(fs)
	return o, fs
}

func expectHidden(t *testing.T, where, text string) {
	t.Helper()
	if strings.Contains(text, geheim) {
		t.Errorf("%s shows the password: %s", where, text)
	}
}

// TestNoPasswordIsShown: what upstream prints of its flags and its config at start
// (also when the options are completed, which makes the flags a second time), what
// our checks and our log say, and the endpoint that is opened nevertheless.
func TestNoPasswordIsShown(t *testing.T) {
	for name, tc := range map[string]struct{ endpoint, shown string }{
		"mysql":              {"mysql://u:geh3im/@?,\"x@tcp(h:3306)/d?parseTime=true", "mysql://***"},
		"mysql, plain":       {"mysql://u:geh3im@tcp(h:3306)/d?parseTime=true", "mysql://u:***@tcp(h:3306)/d?parseTime=true"},
		"postgres":           {"postgres://u:geh3im@h:5432/d?sslmode=require", "postgres://u:***@h:5432/d?sslmode=require"},
		"password as option": {"postgres://u@h/d?password=geh3im&sslmode=require", "postgres://u@h/d?password=***"},
		"sqlite":             {"sqlite://./x.db?_auth_pass=geh3im", "sqlite://./x.db?_auth_pass=***"},
		"several members":    {"https://u:geh3im@a:2379,https://b:2379", "https://u:***@a:2379,https://b:2379"},
	} {
		t.Run(name, func(t *testing.T) {
			o, fs := upstreamFlags()
			if err := fs.Parse([]string{"--etcd-servers=" + multi + tc.endpoint, "--metadata-store=" + tc.endpoint}); err != nil {
				t.Fatal(err)
			}
			lines := logged(t, func() {
				cliflag.PrintFlags(fs)
				again := pflag.NewFlagSet("completed", pflag.ContinueOnError)
				o.AddFlags(again)
				cliflag.PrintFlags(again)
				again.VisitAll(func(f *pflag.Flag) { klog.Info(f.DefValue) })
				klog.Infof("%v %+v %#v", o.StorageConfig, o.StorageConfig, o.StorageConfig) // as the storage factory does
				for _, err := range o.Validate() {
					klog.Error(err)
				}
			})
			expectHidden(t, "the log", lines)
			for _, want := range []string{
				fmt.Sprintf("FLAG: --etcd-servers=%q", "["+multi+tc.shown+"]"),
				fmt.Sprintf("FLAG: --metadata-store=%q", tc.shown),
				"--etcd-servers holds a password", "--metadata-store holds a password",
			} {
				if !strings.Contains(lines, want) {
					t.Errorf("the log lacks %s:\n%s", want, lines)
				}
			}
			s, err := settingsOf(&o.StorageConfig)
			if err != nil || s.endpoint != multi+tc.endpoint || s.metadata != tc.endpoint {
				t.Errorf("%v: the databases are %q and %q", err, s.endpoint, s.metadata)
			}
			if text := fs.Lookup("etcd-servers").Value.Type() + fs.Lookup("metadata-store").Value.Type(); text != "stringSlicestring" {
				t.Errorf("types of the flags: %s", text)
			}
		})
	}
}

// TestNoPasswordInErrors: of endpoints that are refused, by whomever.
func TestNoPasswordInErrors(t *testing.T) {
	for name, tc := range map[string]struct {
		flags []string
		want  string
	}{
		"no multi":      {[]string{"--etcd-servers=postgres://u:geh3im@h/d"}, "write the default database as multi://postgres://u:***@h/d"},
		"no list":       {[]string{"--etcd-servers=postgres://u:\"geh3im@h/d"}, "write the default database as multi://postgres://u:***@h/d"},
		"overrides":     {[]string{"--etcd-servers-overrides=/pods#http://u:geh3im@h:1"}, "a rule of the topology file"},
		"other storage": {[]string{"--storage-backend=etcd3", "--etcd-servers=multi://mysql://u:geh3im@tcp(h:1)/d"}, "add --storage-backend=libstorage"},
		"unknown":       {[]string{"--etcd-servers=multi://mysgl://u:geh3im@tcp(h:1)/d"}, "unknown scheme"},
		"no host":       {[]string{"--etcd-servers=multi://postgres://u:geh3im"}, "no host:port"},
		"no address":    {[]string{"--etcd-servers=multi://mysql://u:geh3im@h/d"}, "no address"},
		"metadata":      {[]string{"--etcd-servers=multi://sqlite://./x.db", "--metadata-store=postgres://u:geh3im@h:x/d"}, "--metadata-store"},
		"option":        {[]string{"--etcd-servers=multi://sqlite://./x.db?_paswd=geh3im"}, "_paswd"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			var all []string
			lines := logged(t, func() {
				o, fs := upstreamFlags()
				if err := fs.Parse(strings.Split(strings.ReplaceAll(strings.Join(tc.flags, "\n"), "./", dir+"/"), "\n")); err != nil {
					all = append(all, err.Error())
				}
				cliflag.PrintFlags(fs)
				for _, err := range o.Validate() {
					all = append(all, err.Error())
				}
				if all == nil {
					if _, err := namedChecks(o.StorageConfig, nil); err != nil {
						all = append(all, err.Error())
					}
				}
			})
			expectHidden(t, "the log", lines)
			text := strings.Join(all, "\n")
			expectHidden(t, "the error", text)
			if !strings.Contains(text, tc.want) {
				t.Errorf("got %q, want %q", text, tc.want)
			}
		})
	}
}

// TestServersFlag: the list is upstream's, but that an endpoint behind multi:// is
// not split.
func TestServersFlag(t *testing.T) {
	for name, tc := range map[string]struct {
		args   []string
		config []string
		opened string
	}{
		"as upstream's": {[]string{"http://a,http://b", "http://c"}, []string{"http://a", "http://b", "http://c"}, "http://a,http://b,http://c"},
		"members":       {[]string{"multi://http://a:1,http://b:1"}, []string{"multi://http://a:1,http://b:1"}, "multi://http://a:1,http://b:1"},
		"repeated":      {[]string{"multi://http://a:1", "http://b:1"}, []string{"multi://http://a:1", "http://b:1"}, "multi://http://a:1,http://b:1"},
		"quoted":        {[]string{`"multi://http://a:1,http://b:1"`}, []string{"multi://http://a:1,http://b:1"}, "multi://http://a:1,http://b:1"},
		"hidden":        {[]string{"multi://postgres://u:geh3im@h/d"}, []string{"multi://postgres://u:***@h/d"}, "multi://postgres://u:geh3im@h/d"},
		"empty":         {[]string{""}, nil, ""},
	} {
		o, fs := upstreamFlags()
		for _, arg := range tc.args {
			if err := fs.Set("etcd-servers", arg); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		s, err := settingsOf(&o.StorageConfig)
		if got := o.StorageConfig.Transport.ServerList; err != nil || fmt.Sprint(got) != fmt.Sprint(tc.config) || s.endpoint != tc.opened {
			t.Errorf("%s: %v, config %q, opened %q", name, err, got, s.endpoint)
		}
	}
	_, fs := upstreamFlags()
	if err := fs.Set("etcd-servers", `http://a"b`); err == nil {
		t.Error("a list that cannot be read was taken")
	}
	// Somebody else's list wins over what the flags said.
	o, fs := upstreamFlags()
	if err := fs.Set("etcd-servers", "multi://http://a:1"); err != nil {
		t.Fatal(err)
	}
	o.StorageConfig.Transport.ServerList = []string{"multi://http://z:1"}
	if s, err := settingsOf(&o.StorageConfig); err != nil || s.endpoint != "multi://http://z:1" {
		t.Errorf("%v %q", err, s.endpoint)
	}
}

func TestRedact(t *testing.T) {
	for endpoint, want := range map[string]string{
		"":                                  "",
		"sqlite://./a.db?_busy_timeout=1":   "sqlite://./a.db?_busy_timeout=1",
		"sqlite://./a@b:c.db":               "sqlite://./a@b:c.db",
		"http://a:2379,http://b:2379":       "http://a:2379,http://b:2379",
		"127.0.0.1:2379":                    "127.0.0.1:2379",
		"http://[::1]:2379":                 "http://[::1]:2379",
		"multi://file:///a@b:c/endpoint":    "multi://file:///a@b:c/endpoint",
		"postgres://u:p@h:5432/d":           "postgres://u:***@h:5432/d",
		"postgres://u:p%zz@h:5432/d":        "postgres://u:***@h:5432/d",
		"postgres://u@h:5432/d":             "postgres://u@h:5432/d",
		"postgres://u@[::1]:5432/d":         "postgres://u@[::1]:5432/d",
		"postgres://h,g:5432/d":             "postgres://h,g:5432/d",
		"postgres://u:***@h:5432/d":         "postgres://u:***@h:5432/d",
		"postgres://u:pp":                   "postgres://***",
		"postgres://h/d?password=p@w":       "postgres://***",
		"postgres://h/d?a=b&sslkey=k&b=c":   "postgres://h/d?a=b&sslkey=***",
		"postgres://h/d?a=b&pp":             "postgres://h/d?a=b&***",
		"host=h password=p":                 "***",
		"multi://u:p@h":                     "multi://***",
		"multi://mysql://u:p@w@tcp(h:1)/d?": "multi://mysql://u:***@tcp(h:1)/d?",
		"mysql://u:p/w@tcp(h:1)/d":          "mysql://u:***@tcp(h:1)/d",
		"mysql://u:p?w@tcp(h:1)/d":          "mysql://***",
		"mysql://u:@tcp(h:1)/d":             "mysql://u:@tcp(h:1)/d",
		"mysql://u@unix(/run/m.sock)/d":     "mysql://u@unix(/run/m.sock)/d",
		"https://u:p:q@h":                   "https://u:***@h",
		"/pods#http://u:p@h:1":              "/pods#http://u:***@h:1",
	} {
		if got := redact(endpoint); got != want {
			t.Errorf("%q became %q, want %q", endpoint, got, want)
		}
		if got := redact(want); got != want {
			t.Errorf("%q became %q", want, got)
		}
		if hasPassword(want) {
			t.Errorf("%q has a password", want)
		}
	}
}
