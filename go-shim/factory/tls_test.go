package factory

import (
	"strings"
	"testing"

	"k8s.io/klog/v2"
)

// TestTLSWithoutEffect: settings that act on nothing are named at start, and only they.
func TestTLSWithoutEffect(t *testing.T) {
	const embedded, remote = "multi://sqlite://./x.db", "multi://postgres://u@h/d"
	for name, tc := range map[string]struct {
		servers, metadata string
		flags             []string
		skip              string
		want              []string // beginnings of the lines about TLS
	}{
		"nothing":                  {servers: embedded},
		"files, embedded":          {servers: embedded, flags: []string{"--etcd-cafile=/ca"}, want: []string{"--etcd-certfile, "}},
		"files, http":              {servers: "multi://http://a:1", flags: []string{"--etcd-cafile=/ca"}, want: []string{"--etcd-certfile, "}},
		"files, server":            {servers: remote, flags: []string{"--etcd-cafile=/ca"}},
		"files, endpoint file":     {servers: "multi://file:///e", flags: []string{"--etcd-cafile=/ca"}},
		"skip, embedded":           {servers: embedded, skip: "true", want: []string{envSkipVerify}},
		"skip, beside a server":    {servers: remote, skip: "true"},
		"no skip":                  {servers: embedded, skip: "false"},
		"skip, metadata elsewhere": {servers: embedded, metadata: "https://a:1", skip: "true"},
		"metadata files, embedded": {servers: remote, metadata: "sqlite://./m.db", flags: []string{"--metadata-store-cafile=/ca"},
			want: []string{"--metadata-store-certfile, "}},
		"metadata files, server": {servers: embedded, metadata: "https://a:1", flags: []string{"--metadata-store-cafile=/ca"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(envSkipVerify, tc.skip)
			o, fs := upstreamFlags()
			args := append([]string{"--etcd-servers=" + tc.servers}, tc.flags...)
			if tc.metadata != "" {
				args = append(args, "--metadata-store="+tc.metadata)
			}
			if err := fs.Parse(args); err != nil {
				t.Fatal(err)
			}
			lines := logged(t, func() {
				if errs := o.Validate(); len(errs) > 0 {
					klog.Error(errs)
				}
			})
			about := map[string]bool{} // klog writes a warning to the logs of lower severities too
			for _, line := range strings.Split(lines, "\n") {
				if strings.Contains(line, "effect on this") {
					about[line] = true
				}
			}
			if len(about) != len(tc.want) || strings.Contains(lines, "[") {
				t.Errorf("%d lines about TLS: %s", len(about), lines)
			}
			for _, want := range tc.want {
				if !strings.Contains(lines, want) {
					t.Errorf("no %q in %s", want, lines)
				}
			}
		})
	}
}
