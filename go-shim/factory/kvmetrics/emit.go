package kvmetrics

import (
	"strings"

	"k8s.io/component-base/metrics"
)

// series is one metric name.
type series struct {
	desc *metrics.Desc
	kind metrics.ValueType
}

var all []*series

func newSeries(kind metrics.ValueType, name, help string, labels ...string) *series {
	s := &series{metrics.NewDesc(name, help, labels, nil, metrics.ALPHA, ""), kind}
	all = append(all, s)
	return s
}

func gauge(name, help string, labels ...string) *series {
	return newSeries(metrics.GaugeValue, name, help, labels...)
}

func counter(name, help string, labels ...string) *series {
	return newSeries(metrics.CounterValue, name, help, labels...)
}

var (
	buildInfo = gauge("libstorage_build_info", "1, with what the loaded library was built from.", "version", "commit")

	revision = gauge("libstorage_revision", "Revision of the newest published write.")

	up       = gauge("libstorage_backend_up", "1 while the backend answers, 0 while it does not.", "backend", "kind")
	head     = gauge("libstorage_backend_head_revision", "Highest revision committed in the backend.", "backend")
	floor    = gauge("libstorage_backend_floor_revision", "Oldest revision that is still readable in the backend.", "backend")
	epoch    = gauge("libstorage_backend_epoch", "Epoch under which the backend is written.", "backend")
	fileSize = gauge("libstorage_backend_file_bytes", "Size of the backend on disk.", "backend")
	freeSize = gauge("libstorage_backend_free_bytes", "Part of the size on disk that is free for new rows.", "backend")

	operations       = counter("libstorage_operations_total", "Calls that the backend has answered.", "backend", "operation")
	operationSeconds = counter("libstorage_operation_seconds_total", "Time that these calls took, in seconds.", "backend", "operation")
	commits          = counter("libstorage_commits_total", "Commits of the backend's lane.", "backend")
	commitSeconds    = counter("libstorage_commit_seconds_total", "Time that these commits took, in seconds.", "backend")
	batches          = counter("libstorage_lane_batches_total", "Batches that the lane has written; each is one transaction.", "backend")
	laneOperations   = counter("libstorage_lane_operations_total", "Writes in these batches.", "backend")
	laneQueue        = gauge("libstorage_lane_queue_length", "Writes that wait for the lane.", "backend")

	objects     = gauge("libstorage_objects", "Stored objects.", "backend", "collection")
	objectBytes = gauge("libstorage_object_bytes", "Bytes of the stored objects' values.", "backend", "collection")
	historyRows = gauge("libstorage_history_rows", "Changes that are kept for watches and reads in the past.", "backend")
	historySize = gauge("libstorage_history_bytes", "Bytes of the values kept for these.", "backend")
	debt        = gauge("libstorage_compaction_debt_rows", "Changes below the floor that wait for deletion.", "backend")

	watches      = gauge("libstorage_watches", "Running watches.")
	lagRevisions = gauge("libstorage_watch_lag_revisions", "How far the slowest watch is behind, in revisions.")
	lagSeconds   = gauge("libstorage_watch_lag_seconds", "Age of the oldest event that a watch has not taken, in seconds.")
	bufferBytes  = gauge("libstorage_buffer_bytes", "Memory outside of Go that is in use.", "purpose")
	bufferCount  = gauge("libstorage_buffers", "Pieces of this memory.", "purpose")
)

// emitter writes samples of one scrape.
type emitter chan<- metrics.Metric

func (e emitter) put(s *series, value float64, labels ...string) {
	e <- metrics.NewLazyConstMetric(s.desc, s.kind, value, labels...)
}

func (e emitter) optional(s *series, value *int64, labels ...string) {
	if value != nil {
		e.put(s, float64(*value), labels...)
	}
}

// build splits "1.0.0 (commit)".
func (e emitter) build(library string) {
	version, commit, _ := strings.Cut(library, " (")
	e.put(buildInfo, 1, version, strings.TrimSuffix(commit, ")"))
}

func (s *stats) emit(ch chan<- metrics.Metric) {
	e := emitter(ch)
	e.put(revision, float64(s.Revision))
	for i := range s.Backends {
		s.Backends[i].emit(e)
	}
	if w := s.Watch; w != nil {
		e.put(watches, float64(w.Watches))
		e.put(lagRevisions, float64(w.LagMaxRevisions))
		e.put(lagSeconds, w.LagMaxSeconds)
	}
	if s.Buffers == nil {
		return
	}
	for purpose, b := range s.Buffers.Purposes {
		e.put(bufferBytes, float64(b.Bytes), purpose)
		e.put(bufferCount, float64(b.Count), purpose)
	}
}

func (b *backendStats) emit(e emitter) {
	isUp := 0.0
	if b.Up {
		isUp = 1
	}
	e.put(up, isUp, b.Name, b.Kind)
	e.put(head, float64(b.Head), b.Name)
	e.put(floor, float64(b.Floor), b.Name)
	e.put(epoch, float64(b.Epoch), b.Name)
	e.optional(fileSize, b.FileBytes, b.Name)
	e.optional(freeSize, b.FreeBytes, b.Name)
	e.optional(debt, b.DebtRows, b.Name)
	for operation, o := range b.Operations {
		e.put(operations, float64(o.Count), b.Name, operation)
		e.put(operationSeconds, o.SecondsSum, b.Name, operation)
	}
	if l := b.Lane; l != nil {
		e.put(commits, float64(l.CommitCount), b.Name)
		e.put(commitSeconds, l.CommitSecondsSum, b.Name)
		e.put(batches, float64(l.Batches), b.Name)
		e.put(laneOperations, float64(l.Operations), b.Name)
		e.put(laneQueue, float64(l.Queue), b.Name)
	}
	for _, k := range b.Kinds {
		e.put(objects, float64(k.Objects), b.Name, k.Collection)
		e.put(objectBytes, float64(k.Bytes), b.Name, k.Collection)
	}
	if h := b.History; h != nil {
		e.put(historyRows, float64(h.Rows), b.Name)
		e.put(historySize, float64(h.Bytes), b.Name)
	}
}
