// Package kvmetrics exports what the engine tells of itself. docs/metrics.md
// has the names and the text that StatsJSON gives.
package kvmetrics

// stats is StatsJSON. What is absent is not exported.
type stats struct {
	Revision int64          `json:"revision"`
	Backends []backendStats `json:"backends"`
	Watch    *watchStats    `json:"watch"`
	Buffers  *buffersStats  `json:"buffers"`
}

type backendStats struct {
	Name       string                    `json:"name"`
	Kind       string                    `json:"kind"`
	Up         bool                      `json:"up"`
	Head       int64                     `json:"head"`
	Floor      int64                     `json:"floor"`
	Epoch      int64                     `json:"epoch"`
	Lane       *laneStats                `json:"lane"`
	Operations map[string]operationStats `json:"operations"`
	Kinds      []kindStats               `json:"kinds"`
	History    *historyStats             `json:"history"`
	DebtRows   *int64                    `json:"debt_rows"`
	FileBytes  *int64                    `json:"file_bytes"`
	FreeBytes  *int64                    `json:"free_bytes"`
}

type laneStats struct {
	Batches          int64   `json:"batches"`
	Operations       int64   `json:"operations"`
	Queue            int64   `json:"queue"`
	CommitCount      int64   `json:"commit_count"`
	CommitSecondsSum float64 `json:"commit_seconds_sum"`
}

type operationStats struct {
	Count      int64   `json:"count"`
	SecondsSum float64 `json:"seconds_sum"`
}

type kindStats struct {
	Collection string `json:"collection"`
	Objects    int64  `json:"objects"`
	Bytes      int64  `json:"bytes"`
}

type historyStats struct {
	Rows  int64 `json:"rows"`
	Bytes int64 `json:"bytes"`
}

type watchStats struct {
	Watches         int64   `json:"watches"`
	LagMaxRevisions int64   `json:"lag_max_revisions"`
	LagMaxSeconds   float64 `json:"lag_max_seconds"`
}

type buffersStats struct {
	Purposes map[string]bufferStats `json:"purposes"`
}

type bufferStats struct {
	Bytes int64 `json:"bytes"`
	Count int64 `json:"count"`
}
