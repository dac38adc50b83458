package store

import (
	"errors"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/apis/example"
)

func TestAttributes(t *testing.T) {
	long := strings.Repeat("x", 200) // two bytes of length
	pod := &example.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:   "p",
			Labels: map[string]string{"b": "2", "a": "", "prefixed.example.com/long": long},
			OwnerReferences: []metav1.OwnerReference{
				{UID: "uid-2"}, {UID: "uid-1"}, {UID: "uid-2"}, // named twice
			},
		},
		Spec: example.PodSpec{NodeName: ""}, // an empty field is absent
	}
	entry := func(kind byte, name, value string) string {
		length := func(s string) string {
			if len(s) < 128 {
				return string([]byte{byte(len(s))})
			}
			return string([]byte{byte(len(s)&0x7f | 0x80), byte(len(s) >> 7)})
		}
		return string([]byte{kind}) + length(name) + name + length(value) + value
	}
	full := "\x01" + entry(1, "a", "") + entry(1, "b", "2") + entry(1, "prefixed.example.com/long", long) +
		entry(2, "metadata.name", "p") + entry(3, "", "uid-1") + entry(3, "", "uid-2")

	none := func(runtime.Object) (labels.Set, fields.Set, error) { return nil, nil, nil }
	failing := func(runtime.Object) (labels.Set, fields.Set, error) { return nil, nil, errors.New("no") }
	for _, tc := range []struct {
		name, value, want string
		obj               runtime.Object
		change            func(*Options)
	}{
		{name: "everything", value: "{}", want: full, obj: pod},
		{name: "nothing to select by is known", value: "{}", want: "\x01", obj: &example.Pod{}, change: func(o *Options) { o.GetAttrs = none }},
		{name: "encrypted", value: "k8s:enc:aescbc:v1:key:…", obj: pod},
		{name: "raw storage", value: "{}", obj: pod, change: func(o *Options) { o.GetAttrs = nil }},
		{name: "no attributes to be had", value: "{}", obj: pod, change: func(o *Options) { o.GetAttrs = failing }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var change []func(*Options)
			if tc.change != nil {
				change = append(change, tc.change)
			}
			s := newTestStore(t, newDB(t), change...)
			for range 2 { // the second time with a pooled buffer
				b := s.attributes(tc.obj, []byte(tc.value))
				if got := string(b.data()); got != tc.want {
					t.Errorf("got  %q\nwant %q", got, tc.want)
				}
				b.put()
			}
		})
	}
}
