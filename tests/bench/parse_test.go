package main

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestCountStatements(t *testing.T) {
	log := `2026-11-30 06:00:00.000 UTC [1] LOG:  database system is ready to accept connections
2026-11-30 06:00:01.000 UTC [2] LOG:  statement: ALTER SYSTEM SET log_statement = 'all'
2026-11-30 06:00:01.000 UTC [2] LOG:  statement: SELECT pg_reload_conf()
2026-11-30 06:00:02.000 UTC [3] LOG:  statement: SELECT head
	FROM lane
2026-11-30 06:00:02.000 UTC [3] LOG:  execute <unnamed>: SELECT 1
2026-11-30 06:00:02.000 UTC [3] DETAIL:  parameters: $1 = '1'
2026-11-30 06:00:03.000 UTC [3] LOG:  execute s1: BEGIN
2026-11-30 06:00:04.000 UTC [4] LOG:  checkpoint starting: time
`
	if n, err := countStatements(strings.NewReader(log)); err != nil || n != 3 {
		t.Errorf("%d statements, %v; want 3", n, err)
	}
}

func TestSumMetric(t *testing.T) {
	text := `# TYPE grpc_server_msg_received_total counter
grpc_server_msg_received_total{grpc_method="Range",grpc_type="unary"} 12
grpc_server_msg_received_total{grpc_method="Watch",grpc_type="bidi_stream"} 1.5e+01
grpc_server_msg_received_total_more{grpc_method="Range"} 99
`
	if n, err := sumMetric(strings.NewReader(text), "grpc_server_msg_received_total"); err != nil || n != 27 {
		t.Errorf("%d, %v; want 27", n, err)
	}
	if _, err := sumMetric(strings.NewReader(text), "absent"); err == nil {
		t.Error("a metric that is not there was summed")
	}
}

func TestParseStat(t *testing.T) {
	s, err := parseStat("42 (a (b) c) S 7 42 42 0 -1 4194560 1 2 3 4 100 20 30 4 20 0 1 0 5 6")
	if err != nil || s != (stat{7, 1200 * time.Millisecond, 340 * time.Millisecond}) {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := parseStat("42 (short) S 7"); err == nil {
		t.Error("half a line was taken")
	}
}

func TestTree(t *testing.T) {
	all := map[int]stat{1: {}, 10: {parent: 1}, 11: {parent: 10}, 12: {parent: 11}, 13: {parent: 10}, 20: {parent: 1}}
	tree := treeOf(10, all)
	slices.Sort(tree)
	if !slices.Equal(tree, []int{10, 11, 12, 13}) {
		t.Errorf("tree %v", tree)
	}
}

// TestUsageOfTrees: the CPU of children that ended counts.
func TestUsageOfTrees(t *testing.T) {
	command := exec.Command("bash", "-c", "for round in 1 2; do (for ((i = 0; i < 200000; i++)); do :; done); echo; read -r; done")
	in, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		in.Close()
		_ = command.Wait()
	}()
	var before time.Duration
	for range 2 {
		if _, err := out.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		cost, err := processes{command.Process.Pid}.usageOfTrees()
		if err != nil || cost.CPU <= before || cost.Peak < 1<<20 {
			t.Errorf("cost %+v after %v, %v", cost, before, err)
		}
		before = cost.CPU
		if _, err := in.Write([]byte("\n")); err != nil {
			t.Fatal(err)
		}
	}
	if bytes, err := proportional(os.Getpid()); err != nil || bytes < 1<<20 {
		t.Errorf("this process has %d bytes, %v", bytes, err)
	}
}

func TestSpreadRules(t *testing.T) {
	if got := spreadRules(nil); got != "backends: []\n" {
		t.Errorf("%q", got)
	}
	got := spreadRules([]*database{{endpoint: "postgres://a"}, {endpoint: "postgres://b"}})
	for _, want := range []string{"endpoint: postgres://a\n  prefix: {prefix: twos}", "endpoint: postgres://b\n  prefix: {prefix: threes}"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in %s", want, got)
		}
	}
}

func TestLag(t *testing.T) {
	d := &delivery{acked: []int64{5, 20, 10}, got: [][]int64{{7, 21, 30}}}
	if lag := d.lag(); lag != 10 {
		t.Errorf("lag %d, want 10", lag)
	}
	d.acked[1] = 50 // acknowledged after its event
	if lag := d.lag(); lag != 0 {
		t.Errorf("lag %d, want 0", lag)
	}
}
