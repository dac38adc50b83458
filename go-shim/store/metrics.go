package store

import (
	"sync"

	etcd3metrics "k8s.io/apiserver/pkg/storage/etcd3/metrics"
	compbasemetrics "k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
)

var decodes = compbasemetrics.NewCounterVec(&compbasemetrics.CounterOpts{
	Name: "libstorage_watch_decodes_total",
	Help: "Objects of watch events: hit = taken from the writer's response or from another watch, miss = decoded.",

	StabilityLevel: compbasemetrics.ALPHA,
}, []string{"result"})

// Resolved once: they are counted for every event of every watch.
var decodeHits, decodeMisses compbasemetrics.CounterMetric

var registerMetrics = sync.OnceFunc(func() {
	etcd3metrics.Register()
	legacyregistry.MustRegister(decodes)
	decodeHits, decodeMisses = decodes.WithLabelValues("hit"), decodes.WithLabelValues("miss")
})
