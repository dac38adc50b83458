package store

import (
	"context"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
)

// TestDeleteOfACallerWhoGaveUp: upstream's DeleteCollection looks for the error itself,
// and nothing may be deleted.
func TestDeleteOfACallerWhoGaveUp(t *testing.T) {
	s := newTestStore(t, newDB(t))
	mustCreate(t, s, pod("a"))
	ctx, cancel := context.WithCancel(context.Background())
	giveUp := func(context.Context, runtime.Object) error {
		cancel()
		return nil
	}
	err := s.Delete(ctx, podKey("a"), &example.Pod{}, nil, giveUp, nil, storage.DeleteOptions{})
	if err != context.Canceled {
		t.Errorf("got %v", err)
	}
	if list := mustList(t, s, all()); len(list.Items) != 1 {
		t.Errorf("%d objects are left", len(list.Items))
	}
}
