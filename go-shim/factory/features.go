package factory

import (
	"sync/atomic"

	"k8s.io/apiserver/pkg/storage"
	etcdfeature "k8s.io/apiserver/pkg/storage/feature"
)

// active says that our storage is in use: a binary that links this package but
// runs on etcd keeps upstream's answers.
var active atomic.Bool

func markActive() { active.Store(true) }

// features tells upstream's watch cache that progress can be asked for, which
// consistent lists from the cache and WatchList need.
type features struct {
	etcdfeature.FeatureSupportChecker
}

// Supports implements etcdfeature.FeatureSupportChecker.
func (f features) Supports(feature storage.Feature) bool {
	if feature == storage.RequestWatchProgress && active.Load() {
		return true
	}
	return f.FeatureSupportChecker.Supports(feature)
}

func init() {
	etcdfeature.DefaultFeatureSupportChecker = features{etcdfeature.DefaultFeatureSupportChecker}
}
