package etcdlike

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage"
)

// paced has updates take as long as etcd's, at least. TestDelayedWatchDelivery
// writes 21 objects, stops a watch of the watch cache at once and wants 10 of them,
// which cross four goroutines of the watch cache: it counts on writes that take
// longer than that. In memory ours take a millisecond for all.
type paced struct{ storage.Interface }

const etcdUpdate = 2 * time.Millisecond

// GuaranteedUpdate implements storage.Interface.
func (p paced) GuaranteedUpdate(ctx context.Context, key string, out runtime.Object, ignoreNotFound bool,
	preconditions *storage.Preconditions, update storage.UpdateFunc, cached runtime.Object) error {
	began := time.Now()
	err := p.Interface.GuaranteedUpdate(ctx, key, out, ignoreNotFound, preconditions, update, cached)
	time.Sleep(etcdUpdate - time.Since(began))
	return err
}
