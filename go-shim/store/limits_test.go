package store

import (
	"context"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
)

// onEachDB runs a test on every kind of database.
func onEachDB(t *testing.T, test func(t *testing.T, s *Store)) {
	for _, db := range databases {
		t.Run(db.name, func(t *testing.T) { test(t, newTestStore(t, openDB(t, db.options(t)))) })
	}
}

// TestOddKeys: any byte may stand in a key, and the longest names fit.
func TestOddKeys(t *testing.T) {
	names := []string{
		"a\x00b", "a\x00", "a\nb", "a b", "a%00b", "\xff\xfe", "\uff21\uff22", "*", "'; DROP TABLE objects; --",
		strings.Repeat("n", 253), strings.Repeat("k", 1024-len("/pods/ns/")),
	}
	slices.Sort(names)
	onEachDB(t, func(t *testing.T, s *Store) {
		ctx := context.Background()
		w := mustWatch(t, s, "1")
		for _, name := range names {
			if err := s.Create(ctx, podKey(name), pod("p"), nil, 0); err != nil {
				t.Fatalf("%q: %v", name, err)
			}
			if err := s.Create(ctx, podKey(name), pod("p"), nil, 0); !storage.IsExist(err) {
				t.Errorf("%q a second time: %v", name, err)
			}
			if err := s.Get(ctx, podKey(name), storage.GetOptions{}, &example.Pod{}); err != nil {
				t.Errorf("%q: %v", name, err)
			}
			next(t, w)
		}
		page := all()
		page.Predicate.Limit = 1 // the next page begins behind the odd key
		list, seen := mustList(t, s, page), 1
		for ; list.Continue != "" && seen <= len(names); seen++ {
			page.Predicate.Continue = list.Continue
			list = mustList(t, s, page)
		}
		if n := len(mustList(t, s, all()).Items); n != len(names) || seen != n {
			t.Errorf("%d pods in one list and %d in pages, want %d", n, seen, len(names))
		}
		for _, name := range names {
			if err := s.Delete(ctx, podKey(name), &example.Pod{}, nil, storage.ValidateAllObjectFunc, nil, storage.DeleteOptions{}); err != nil {
				t.Errorf("%q: %v", name, err)
			}
		}
	})
}

// TestOverTheLimits: the client is told what is too large, the limit, and what
// to do; and nothing has changed.
func TestOverTheLimits(t *testing.T) {
	onEachDB(t, func(t *testing.T, s *Store) {
		ctx := context.Background()
		tooLarge := func(err error, words ...string) {
			t.Helper()
			// As the API server's handlers ask, before they take out managedFields.
			if e, ok := err.(interface{ GRPCStatus() *grpcstatus.Status }); !ok || e.GRPCStatus().Code() != codes.ResourceExhausted ||
				!strings.Contains(e.GRPCStatus().Message(), "trying to send message larger than max") {
				t.Errorf("%T does not tell the API server that it is too large", err)
			}
			for _, word := range words {
				if !apierrors.IsRequestEntityTooLargeError(err) || !strings.Contains(err.Error(), word) {
					t.Errorf("got %v, want %q", err, word)
				}
			}
		}
		big := pod("big")
		big.Annotations = map[string]string{"x": strings.Repeat("x", 1536<<10)}
		tooLarge(s.Create(ctx, podKey("big"), big, nil, 0), "the object at /pods/ns/big has 1", "the limit is 1572864: split it")
		mustCreate(t, s, pod("grows"))
		tooLarge(s.GuaranteedUpdate(ctx, podKey("grows"), &example.Pod{}, false, nil,
			storage.SimpleUpdate(func(obj runtime.Object) (runtime.Object, error) {
				obj.(*example.Pod).Annotations = big.Annotations
				return obj, nil
			}), nil), "the object at /pods/ns/grows has 1")
		tooLarge(s.Create(ctx, podKey(strings.Repeat("k", 1025-len("/pods/ns/"))), pod("p"), nil, 0),
			"the key /pods/ns/kkk", "has 1025 bytes; the limit is 1024: shorten its names")
		if pods := mustList(t, s, all()).Items; len(pods) != 1 || len(pods[0].Annotations) != 0 {
			t.Errorf("%d pods are there", len(pods))
		}
	})
}
