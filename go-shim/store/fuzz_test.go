package store

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
)

// Fuzz targets; tests/run/fuzz.sh runs each for FUZZ_SECONDS.

// FuzzContinueToken: no token, however it was made, shows what is not below the
// listed prefix, repeats or reorders objects, or ends in anything but an
// answer that a client understands.
func FuzzContinueToken(f *testing.F) {
	s := newTestStore(f, newDB(f))
	names := []string{"a", "b", "c", "d", "e"}
	for _, name := range names {
		mustCreate(f, s, pod(name))
	}
	for _, key := range []string{"/pods2/ns/leak", "/podA/ns/leak", "/secrets/ns/leak"} {
		if err := s.Create(context.Background(), key, pod("leak"), nil, 0); err != nil {
			f.Fatal(err)
		}
	}
	good, err := storage.EncodeContinue("/pods/ns/b\x00", "/pods/", 4)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good, "", int64(0), int64(2))
	f.Add("", "ns/b\x00", int64(4), int64(2))
	f.Add("", "ns/b", int64(-1), int64(0))
	f.Add("", "../secrets/ns/", int64(0), int64(1))
	f.Add("", "../../pods2", int64(1<<62), int64(1))
	f.Add("bm90IGpzb24", "", int64(0), int64(0))
	f.Add("%%%", "", int64(0), int64(-1))
	f.Fuzz(func(t *testing.T, token, start string, rev, limit int64) {
		if token == "" { // one that decodes
			token = encodeAnyToken(t, rev, start)
		}
		opts := all()
		opts.Predicate.Continue, opts.Predicate.Limit = token, limit%7
		list := &example.PodList{}
		if err := s.GetList(context.Background(), "/pods", opts, list); err != nil {
			if !understood(err) {
				t.Fatalf("token %q: %v", token, err)
			}
			return
		}
		last := -1
		for _, p := range list.Items {
			at := slices.Index(names, p.Name)
			if at <= last {
				t.Fatalf("token %q: %q after %v", token, p.Name, list.Items)
			}
			last = at
		}
	})
}

// encodeAnyToken writes a token without the checks of storage.EncodeContinue.
func encodeAnyToken(t *testing.T, rev int64, start string) string {
	t.Helper()
	body, err := json.Marshal(map[string]any{"v": "meta.k8s.io/v1", "rv": rev, "start": start})
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(body)
}

func understood(err error) bool {
	return apierrors.IsBadRequest(err) || apierrors.IsResourceExpired(err) ||
		storage.IsTooLargeResourceVersion(err)
}

// FuzzAttributes: whatever labels, fields and owners an object has, the bytes are those
// of docs/format.md, and name each once.
func FuzzAttributes(f *testing.F) {
	f.Add("app", "web", "metadata.name", "p", "uid-1")
	f.Add("", "", "", "", "")
	f.Add("a\x00b", "\xff", strings.Repeat("x", 127), strings.Repeat("y", 128), strings.Repeat("z", 300))
	f.Fuzz(func(t *testing.T, label, labelValue, field, fieldValue, owner string) {
		want := []attr{{attrLabel, label, labelValue}, {attrField, field, fieldValue}, {attrOwner, "", owner}}
		var b attrsBuffer
		for range 2 { // each twice, in the wrong order
			b.entries = append(b.entries, want[2], want[1], want[0])
		}
		b.encode()
		got, err := decodeAttrs(b.data())
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("%v, %v; expected %v", got, err, want)
		}
		for end := 1; end < len(b.bytes); end++ { // cut anywhere: entries are lost whole, or it is said
			if part, err := decodeAttrs(b.bytes[:end]); err == nil && !slices.Equal(part, want[:len(part)]) {
				t.Fatalf("cut at %d: %v", end, part)
			}
		}
	})
}

var errAttrs = errors.New("not attributes")

// decodeAttrs is docs/format.md read by its letter.
func decodeAttrs(data []byte) ([]attr, error) {
	if len(data) == 0 || data[0] != attrsVersion {
		return nil, errAttrs
	}
	in := bytes.NewReader(data[1:])
	var entries []attr
	for in.Len() > 0 {
		kind, _ := in.ReadByte()
		name, err := readText(in)
		if err != nil {
			return nil, err
		}
		value, err := readText(in)
		if err != nil {
			return nil, err
		}
		entries = append(entries, attr{kind, name, value})
	}
	return entries, nil
}

func readText(in *bytes.Reader) (string, error) {
	size, err := binary.ReadUvarint(in)
	if err != nil || size > uint64(in.Len()) {
		return "", errAttrs
	}
	text := make([]byte, size)
	_, _ = in.Read(text)
	return string(text), nil
}
