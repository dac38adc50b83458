package store

import (
	"context"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
)

func TestRoot(t *testing.T) {
	for prefix, want := range map[string]string{
		"": "/", "/": "/", "registry": "/registry/", "/registry": "/registry/",
		"custom/prefix": "/custom/prefix/", "/custom//prefix//": "/custom/prefix/",
	} {
		s := newTestStore(t, newDB(t), func(o *Options) { o.Prefix = prefix })
		if s.pathPrefix != want {
			t.Errorf("prefix %q gives the root %q, want %q", prefix, s.pathPrefix, want)
		}
	}
}

func TestPrepareKey(t *testing.T) {
	s := newTestStore(t, newDB(t), func(o *Options) { o.Prefix = "/registry" })
	for key, want := range map[string]string{
		"/pods/a": "/registry/pods/a", "pods/a": "/registry/pods/a", "/pods//a": "/registry/pods//a",
		"//pods": "/registry//pods", "/a..b/..c": "/registry/a..b/..c", "/pods/": "/registry/pods/",
	} {
		if got, err := s.prepareKey(key); err != nil || got != want {
			t.Errorf("%q gives %q, %v; want %q", key, got, err, want)
		}
	}
	for _, key := range []string{"", "/", ".", "..", "/.", "/..", "./a", "../a", "a/.", "a/..", "a/./b", "a/../b", "/pods/../secrets"} {
		if got, err := s.prepareKey(key); err == nil {
			t.Errorf("%q gives %q, want an error", key, got)
		}
	}
}

// TestInvalidKeys: no operation may be led out of its root.
func TestInvalidKeys(t *testing.T) {
	s := newTestStore(t, newDB(t), func(o *Options) { o.Prefix = "/registry" })
	ctx := context.Background()
	const key = "/pods/../secrets/a"
	pod := &example.Pod{ObjectMeta: metav1.ObjectMeta{Name: "a"}}
	update := storage.SimpleUpdate(nil)
	everything := storage.ListOptions{Predicate: storage.Everything, Recursive: true}
	_, watchErr := s.Watch(ctx, key, everything)
	_, countErr := s.Count(key)
	for name, err := range map[string]error{
		"Create":           s.Create(ctx, key, pod, nil, 0),
		"Get":              s.Get(ctx, key, storage.GetOptions{}, pod),
		"Delete":           s.Delete(ctx, key, pod, nil, storage.ValidateAllObjectFunc, nil, storage.DeleteOptions{}),
		"GuaranteedUpdate": s.GuaranteedUpdate(ctx, key, pod, true, nil, update, nil),
		"GetList":          s.GetList(ctx, key, everything, &example.PodList{}),
		"GetList of one":   s.GetList(ctx, key, storage.ListOptions{Predicate: storage.Everything}, &example.PodList{}),
		"Watch":            watchErr,
		"Count":            countErr,
	} {
		if err == nil || !strings.HasPrefix(err.Error(), `invalid key: "/pods/../`) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestListRevision(t *testing.T) {
	s := newTestStore(t, newDB(t))
	for _, tc := range []struct {
		name      string
		continued bool
		token     int64
		rv        string
		match     metav1.ResourceVersionMatch
		recursive bool
		limit     int64
		want      int64
		wantErr   string
	}{
		{name: "version beside continue", continued: true, token: 100, rv: "200", wantErr: "specifying resource version is not allowed when using continue"},
		{name: "no number", rv: "invalid", wantErr: "invalid resource version"},
		{name: "unknown rule", rv: "200", match: "unknown", wantErr: "unknown ResourceVersionMatch value"},
		{name: "continue, version 0", continued: true, token: 100, rv: "0", want: 100},
		{name: "continue", continued: true, token: 100, want: 100},
		{name: "continue without revision", continued: true},
		{name: "continue with what is there now", continued: true, token: -1},
		{name: "nothing asked"},
		{name: "not older", rv: "200", match: metav1.ResourceVersionMatchNotOlderThan},
		{name: "exact", rv: "200", match: metav1.ResourceVersionMatchExact, want: 200},
		{name: "legacy, one key", rv: "200", limit: 1},
		{name: "legacy, no limit", rv: "200", recursive: true},
		{name: "legacy, pages", rv: "200", recursive: true, limit: 1, want: 200},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := s.listRevision(tc.continued, tc.token, storage.ListOptions{
				ResourceVersion: tc.rv, ResourceVersionMatch: tc.match, Recursive: tc.recursive,
				Predicate: storage.SelectionPredicate{Limit: tc.limit},
			})
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
					t.Errorf("got %v, want %q", err, tc.wantErr)
				}
			} else if err != nil || got != tc.want {
				t.Errorf("got %d, %v, want %d", got, err, tc.want)
			}
		})
	}
}
