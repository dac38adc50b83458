package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"
)

// Where built-in resources are kept when it is not under their own name.
var unusualPlaces = map[string]string{
	"services": "services/specs", "endpoints": "services/endpoints", "nodes": "minions",
	"replicationcontrollers": "controllers", "ingresses.networking.k8s.io": "ingress",
	"customresourcedefinitions.apiextensions.k8s.io": "apiextensions.k8s.io/customresourcedefinitions",
	"apiservices.apiregistration.k8s.io":             "apiregistration.k8s.io/apiservices",
}

// Keys that no API shows.
var rawPlaces = []string{"ranges", "masterleases", "peerserverleases"}

type place struct {
	group      schema.GroupVersionResource
	namespaced bool
	custom     bool
}

// places: storage prefix (without the root) of everything that can be listed.
func places(t *testing.T, c *Cluster) map[string]place {
	t.Helper()
	all := map[string]place{}
	lists := must[[]*metav1.APIResourceList](t)(c.Client.Discovery().ServerPreferredResources())
	for _, list := range lists {
		version := must[schema.GroupVersion](t)(schema.ParseGroupVersion(list.GroupVersion))
		for _, r := range list.APIResources {
			if !strings.Contains(strings.Join(r.Verbs, " "), "list") || strings.Contains(r.Name, "/") || r.Name == "componentstatuses" {
				continue
			}
			name, custom := r.Name, version.Group == shirtResource.Group
			full := strings.TrimSuffix(r.Name+"."+version.Group, ".")
			switch {
			case custom:
				name = version.Group + "/" + r.Name
			case unusualPlaces[full] != "":
				name = unusualPlaces[full]
			}
			all[name] = place{version.WithResource(r.Name), r.Namespaced, custom}
		}
	}
	return all
}

// keyOf takes a path apart by the longest storage prefix that fits.
func keyOf(places map[string]place, path string) (Key, bool) {
	for end := len(path); end > 0; end = strings.LastIndexByte(path[:end], '/') {
		if p, ok := places[path[:end]]; ok {
			key := Key{Path: path, Resource: path[:end], Custom: p.custom}
			if p.namespaced {
				key.Namespace, _, _ = strings.Cut(strings.TrimPrefix(path[end:], "/"), "/")
			}
			return key, true
		}
	}
	for _, raw := range rawPlaces {
		if strings.HasPrefix(path, raw+"/") {
			return Key{Path: path, Resource: raw}, true
		}
	}
	return Key{}, false
}

// stepFiles: each object is in the database that the first matching rule names,
// and in no other. The rules are written again here, in Go.
func stepFiles(t *testing.T, c *Cluster) {
	ctx := context.Background()
	known := places(t, c)
	client := must[metadata.Interface](t)(metadata.NewForConfig(c.Config))
	want := map[string]bool{}
	for prefix, p := range known {
		list := must[*metav1.PartialObjectMetadataList](t)(client.Resource(p.group).List(ctx, metav1.ListOptions{}))
		for _, item := range list.Items {
			if prefix != "events" { // may expire before the files are read
				want[strings.ReplaceAll(prefix+"/"+item.Namespace+"/"+item.Name, "//", "/")] = true
			}
		}
	}
	if err := c.StopAPIServer(); err != nil {
		t.Error(err)
	}
	databases := must[map[string][]string](t)(c.Storage.Keys())
	found := map[string]string{}
	for database, keys := range databases {
		counts := map[string]int{}
		for _, full := range keys {
			path := strings.TrimPrefix(full, "/registry/")
			key, ok := keyOf(known, path)
			if !ok {
				t.Errorf("%s holds a key of no known resource: %s", database, full)
				continue
			}
			if right := c.Storage.Database(key); right != database {
				t.Errorf("%s is in %s, the first matching rule names %s", full, database, right)
			}
			if other, twice := found[path]; twice {
				t.Errorf("%s is in %s and in %s", full, other, database)
			}
			found[path] = database
			counts[key.Resource]++
		}
		var summary []string
		for resource, n := range counts {
			summary = append(summary, resource+" "+itoa(n))
		}
		sort.Strings(summary)
		t.Logf("%s: %d keys: %s", database, len(keys), strings.Join(summary, ", "))
		if len(keys) == 0 {
			t.Errorf("%s is empty: the rule was not exercised", database)
		}
	}
	for path := range want {
		if found[path] == "" {
			t.Errorf("%s is in no database", path)
		}
	}
	if len(want) < shirtCount {
		t.Errorf("only %d objects were compared", len(want))
	}
}

// What must not be readable in any file when secrets are encrypted.
var secretMarks = []string{"mark-value-7f3a", "mark-second-91c2", "mark-label-55d0", "mark-annotation-0be8", "example.com/mark-type-c41e", "mark-deleted-2d6b"}

// stepSecrets: written, changed, deleted, selected by label and type.
func stepSecrets(t *testing.T, c *Cluster) {
	ctx := context.Background()
	ns := namespace(t, c, "secrets")
	secrets := c.Client.CoreV1().Secrets(ns)
	for _, name := range []string{"kept", "gone"} {
		value := secretMarks[0]
		if name == "gone" {
			value = secretMarks[5]
		}
		must[*corev1.Secret](t)(secrets.Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name,
			Labels: map[string]string{secretMarks[2]: secretMarks[2]}, Annotations: map[string]string{secretMarks[3]: secretMarks[3]}},
			Type: corev1.SecretType(secretMarks[4]), StringData: map[string]string{"password": value}}, metav1.CreateOptions{}))
	}
	must[*corev1.Secret](t)(secrets.Patch(ctx, "kept", types.MergePatchType, []byte(`{"stringData":{"password":"`+secretMarks[1]+`"}}`), metav1.PatchOptions{}))
	if err := secrets.Delete(ctx, "gone", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, options := range []metav1.ListOptions{{LabelSelector: secretMarks[2] + "=" + secretMarks[2]}, {FieldSelector: "type=" + secretMarks[4]}} {
		list := must[*corev1.SecretList](t)(secrets.List(ctx, options))
		if len(list.Items) != 1 || string(list.Items[0].Data["password"]) != secretMarks[1] {
			t.Errorf("%+v finds %d secrets: %v", options, len(list.Items), list.Items)
		}
	}
}

// stepCiphertext reads every byte of every database file. Without encryption the
// marks must be there: that shows that the search works.
func stepCiphertext(t *testing.T, c *Cluster) {
	seen := map[string]string{}
	look := func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		for _, mark := range secretMarks {
			for _, form := range []string{mark, base64.StdEncoding.EncodeToString([]byte(mark))} {
				if bytes.Contains(text, []byte(form)) {
					seen[mark] = path
				}
			}
		}
		return err
	}
	for _, dir := range c.Storage.DataDirs() {
		if err := filepath.WalkDir(dir, look); err != nil {
			t.Fatal(err)
		}
	}
	switch {
	case c.Variant.Encryption == "" && len(seen) == 0:
		t.Error("no mark is found even without encryption: the search is broken")
	case c.Variant.Encryption != "":
		for mark, path := range seen {
			t.Errorf("%s stands in clear in %s", mark, path)
		}
		values := must[[]string](t)(c.Storage.Values("/registry/secrets/secrets/kept"))
		prefix := "k8s:enc:" + c.Variant.Encryption + ":v1:first:"
		if len(values) != 1 || !strings.HasPrefix(values[0], prefix) {
			t.Errorf("%d stored values of the secret, want one that begins %q: %.40q", len(values), prefix, values)
		}
	}
}
