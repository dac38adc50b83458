package kvmetrics

import (
	"encoding/json"
	"slices"
	"sync"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/klog/v2"
)

// Source is the part of kv.Store that is needed here.
type Source interface {
	StatsJSON() ([]byte, error)
}

// Add exports the numbers of an engine from now on, until remove is called. library is what
// the engine's library says of itself: "1.0.0 (commit)".
func Add(s Source, library string) (remove func()) {
	register()
	the.mu.Lock()
	defer the.mu.Unlock()
	the.library = library
	the.sources = append(the.sources, s)
	return func() {
		the.mu.Lock()
		defer the.mu.Unlock()
		if i := slices.Index(the.sources, s); i >= 0 {
			the.sources = slices.Delete(the.sources, i, i+1)
		}
	}
}

// collector asks the engines when somebody scrapes, and only then.
type collector struct {
	metrics.BaseStableCollector
	mu      sync.Mutex
	sources []Source
	library string
}

var the collector

var register = sync.OnceFunc(func() { legacyregistry.CustomMustRegister(&the) })

// DescribeWithStability implements metrics.StableCollector.
func (c *collector) DescribeWithStability(ch chan<- *metrics.Desc) {
	for _, d := range all {
		ch <- d.desc
	}
}

// CollectWithStability implements metrics.StableCollector. With several engines
// in one process (tests have that) the first one is shown: their backends may
// share names.
func (c *collector) CollectWithStability(ch chan<- metrics.Metric) {
	c.mu.Lock()
	sources, library := slices.Clone(c.sources), c.library
	c.mu.Unlock()
	if len(sources) == 0 {
		return
	}
	emitter(ch).build(library)
	text, err := sources[0].StatsJSON()
	if err != nil {
		klog.ErrorS(err, "No numbers from the storage engine")
		return
	}
	var s stats
	if err := json.Unmarshal(text, &s); err != nil {
		klog.ErrorS(err, "The storage engine's numbers cannot be read")
		return
	}
	s.emit(ch)
}
