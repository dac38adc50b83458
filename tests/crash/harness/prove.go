package harness

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libstorage/tests/history"
)

// Seed of this run: SEED, or the time.
var Seed = sync.OnceValue(func() int64 {
	if text := os.Getenv("SEED"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			panic(fmt.Sprintf("SEED=%q is not a number", text))
		}
		return n
	}
	return time.Now().UnixNano() % 1_000_000_000
})

// Prove runs and then checks what was recorded. The history of a failure is kept,
// and the error says where.
func Prove(t testing.TB, config Config, run func(Config) (*history.History, error)) error {
	t.Helper()
	file, err := os.CreateTemp("", fmt.Sprintf("history-%s-%d-*.jsonl", strings.ReplaceAll(t.Name(), "/", "-"), config.Seed))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	config.History = file
	t.Logf("SEED=%d", config.Seed)
	h, err := run(config)
	begin := time.Now()
	err = errors.Join(err, Check(h))
	t.Logf("%s; checked in %s", summary(h), time.Since(begin).Round(time.Millisecond))
	if err == nil {
		return os.Remove(file.Name())
	}
	return fmt.Errorf("%w\nseed %d, history in %s", err, config.Seed, file.Name())
}

func summary(h *history.History) string {
	results := map[history.Result]int{}
	writes, reads, events := 0, 0, 0
	for _, op := range h.Ops {
		if op.Writes() {
			writes++
			results[op.Result]++
		} else {
			reads++
		}
	}
	for _, s := range h.Streams {
		events += len(s.Events)
	}
	return fmt.Sprintf("%d writes (%d acknowledged, %d refused, %d without an answer), %d reads, %d streams with %d events",
		writes, results[history.OK], results[history.Failed], results[history.Unknown], reads, len(h.Streams), events)
}
