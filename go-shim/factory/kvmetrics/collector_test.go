package kvmetrics

import (
	"errors"
	"strings"
	"testing"

	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/component-base/metrics/testutil"
)

type fixed struct {
	text string
	err  error
}

func (f *fixed) StatsJSON() ([]byte, error) { return []byte(f.text), f.err }

const sample = `{"revision":42,"buffers":{"budget_bytes":1,"purposes":{"list":{"bytes":4096,"count":2}}},
"watch":{"watches":50,"lag_max_revisions":7,"lag_max_seconds":0.25},
"backends":[
 {"name":"default","kind":"sqlite","up":true,"head":42,"floor":3,"epoch":2,
  "lane":{"batches":10,"operations":40,"queue":1,"commit_seconds_sum":0.5,"commit_count":11},
  "operations":{"get":{"count":100,"seconds_sum":0.002}},
  "kinds":[{"collection":"pods","objects":5,"bytes":6000}],
  "history":{"rows":39,"bytes":40000},"debt_rows":0,"file_bytes":81920,"free_bytes":4096},
 {"name":"shirts","kind":"sqlite","up":false,"head":41,"floor":1,"epoch":2}]}`

func TestScrape(t *testing.T) {
	source := &fixed{text: sample}
	remove := Add(source, "1.0.0 (0123456789ab-dirty)")
	want := `
# HELP libstorage_backend_up [ALPHA] 1 while the backend answers, 0 while it does not.
# TYPE libstorage_backend_up gauge
libstorage_backend_up{backend="default",kind="sqlite"} 1
libstorage_backend_up{backend="shirts",kind="sqlite"} 0
# HELP libstorage_build_info [ALPHA] 1, with what the loaded library was built from.
# TYPE libstorage_build_info gauge
libstorage_build_info{commit="0123456789ab-dirty",version="1.0.0"} 1
# HELP libstorage_commit_seconds_total [ALPHA] Time that these commits took, in seconds.
# TYPE libstorage_commit_seconds_total counter
libstorage_commit_seconds_total{backend="default"} 0.5
# HELP libstorage_compaction_debt_rows [ALPHA] Changes below the floor that wait for deletion.
# TYPE libstorage_compaction_debt_rows gauge
libstorage_compaction_debt_rows{backend="default"} 0
# HELP libstorage_objects [ALPHA] Stored objects.
# TYPE libstorage_objects gauge
libstorage_objects{backend="default",collection="pods"} 5
# HELP libstorage_operation_seconds_total [ALPHA] Time that these calls took, in seconds.
# TYPE libstorage_operation_seconds_total counter
libstorage_operation_seconds_total{backend="default",operation="get"} 0.002
# HELP libstorage_watch_lag_seconds [ALPHA] Age of the oldest event that a watch has not taken, in seconds.
# TYPE libstorage_watch_lag_seconds gauge
libstorage_watch_lag_seconds 0.25
`
	names := []string{"libstorage_backend_up", "libstorage_build_info", "libstorage_commit_seconds_total", "libstorage_compaction_debt_rows",
		"libstorage_objects", "libstorage_operation_seconds_total", "libstorage_watch_lag_seconds"}
	if err := testutil.GatherAndCompare(legacyregistry.DefaultGatherer, strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
	for name, broken := range map[string]fixed{
		"no answer": {err: errors.New("closed")}, "not JSON": {text: "{"},
	} {
		*source = broken
		if got := scraped(t); got != 1 {
			t.Errorf("%s: %d metrics, want the library's version alone", name, got)
		}
	}
	*source = fixed{text: sample}
	if got := scraped(t); got < len(all) {
		t.Errorf("%d of %d metrics in a full answer", got, len(all))
	}
	remove()
	if got := scraped(t); got != 0 {
		t.Errorf("%d metrics of an engine that is closed", got)
	}
}

// scraped counts our metric families.
func scraped(t *testing.T) (n int) {
	families, err := legacyregistry.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "libstorage_") {
			n++
		}
	}
	return n
}
