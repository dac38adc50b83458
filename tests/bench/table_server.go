package main

import (
	"fmt"
	"os"
	"slices"
)

// serverTable holds the rows of databases that are servers.
func serverTable() []spec {
	rows := slices.Concat(
		sqlTable("pg-", "PostgreSQL", 5),
		sqlTable("mysql-", "MariaDB", 10),
		beside("etcd", stockEtcd, etcdLines()...),
		beside("etcd", otherEtcd, otherLines("pg-", "PostgreSQL", below(10, "ms"))...),
		beside("etcd", otherEtcd, otherLines("mysql-", "MariaDB", below(30, "ms"))...),
		beside("etcd", otherEtcd, otherLines("etcd-", "etcd", info)...))
	return append(rows, beside("one", "the same load on one PostgreSQL",
		line{"spread-create-64", "create of three kinds, each on a PostgreSQL of its own: server CPU", 64, "us a call", serverCPU, atMost(1.1)},
		line{"spread-create-64", "create of three kinds, each on a PostgreSQL of its own", 64, "/s", rate, info})...)
}

const otherEtcd = "etcd3 storage in two processes, etcd"

// otherLines: what one API server writes, and another one watches.
func otherLines(prefix, on string, limit target) []line {
	event := "another process's write to its event, "
	return []line{
		{prefix + "other-watch", event + "50 writes/s, " + on, otherCallers, "ms p50", p50, limit},
		{prefix + "other-watch", event + "50 writes/s, " + on, otherCallers, "ms p99", p99, info},
		{prefix + "other-watch", event + "50 writes/s: reached, " + on, otherCallers, "/s", rate, info},
		{prefix + "other-watch-acked", event + "50 writes/s, from the acknowledgement, " + on, otherCallers, "ms p50", p50, info},
		{prefix + "other-watch-acked", event + "50 writes/s, from the acknowledgement, " + on, otherCallers, "ms p99", p99, info},
		{prefix + "other-watch-5", event + "5 writes/s, " + on, otherCallers, "ms p50", p50, info},
		{prefix + "other-watch-5", event + "5 writes/s, " + on, otherCallers, "ms p99", p99, info},
	}
}

// onePerSecond: a probe, and what a second more or less at the ends adds.
var onePerSecond = below(1.1, "/s")

// sqlTable of one kind of server; create must be so many times kine's.
func sqlTable(prefix, on string, create float64) []spec {
	kine := fmt.Sprintf("etcd3 storage, kine %s on %s, pool of 64", setting("BENCH_KINE_VERSION", os.Getenv("BENCH_KINE")), on)
	return slices.Concat(
		beside("kine", kine,
			line{prefix + "create-64", "create, " + on, 64, "/s", rate, atLeast(create)},
			line{prefix + "create-1", "create, " + on, 1, "ms p50", p50, atMost(.6)},
			line{prefix + "get-64", "get, " + on, 64, "/s", rate, atLeast(1.5)},
			line{prefix + "get-1", "get, " + on, 1, "ms p50", p50, info},
			line{prefix + "burst", "watch: last event behind the last of 10,000 writes, " + on, 64, "ms", p50, below(1000, "ms")},
			line{prefix + "burst", "watch: the 10,000 writes, " + on, 64, "/s", rate, info},
			line{prefix + "idle", "nothing happens: queries, " + on, 0, "/s", rate, onePerSecond},
			line{prefix + "idle", "nothing happens: CPU, " + on, 0, "us a second", cpu, info}),
		beside("raw", "raw autocommit inserts of 64 clients, "+on,
			line{prefix + "create-64", "create, " + on, 64, "/s", rate, atLeast(1.2)}),
		beside("raw", "raw autocommit inserts, "+on,
			line{prefix + "create-1", "create, " + on, 1, "ms p50", p50, info}),
		beside("raw", "raw prepared SELECT, "+on,
			line{prefix + "get-1", "get, " + on, 1, "ms p50", p50, within(.05)},
			line{prefix + "get-64", "get, " + on, 64, "/s", rate, info}),
		beside("etcd", stockEtcd,
			line{prefix + "list-50k-pages", "list 50,000 in pages of 500, " + on, 1, "ms p50", p50, atMost(1.2)}))
}

// etcdLines: our storage on etcd, in every scenario. Times may be 1/0.95 of the peer's.
func etcdLines() []line {
	const on = ", on etcd"
	lines := []line{}
	for _, l := range sqliteLines {
		if !slices.Contains(etcdScenarios, l.scenario) {
			continue
		}
		switch {
		case l.unit == "us a call", l.scenario == "watch-50" && l.unit == "ms p50", l.scenario == "create-64" && l.unit == "ms p99":
			l.target = info
		case l.unit == "/s" && slices.Contains(batched, l.scenario):
			l.target = atLeast(1.5)
		case l.unit == "/s":
			l.target = atLeast(.95)
		default:
			l.target = atMost(1.053)
		}
		l.scenario, l.name = "etcd-"+l.scenario, l.name+on
		lines = append(lines, l)
	}
	return append(lines,
		line{"etcd-burst", "watch: last event behind the last of 10,000 writes" + on, 64, "ms", p50, below(1000, "ms")},
		line{"etcd-burst", "watch: the 10,000 writes" + on, 64, "/s", rate, info},
		line{"etcd-idle", "nothing happens: messages" + on, 0, "/s", rate, onePerSecond},
		line{"etcd-idle", "nothing happens: CPU" + on, 0, "us a second", cpu, info})
}

var (
	etcdScenarios = slices.Concat(callScenarios[1:], listScenarios, []string{"watch-50"})
	// batched: writes of many callers, of which one transaction takes many.
	batched = []string{"create-64", "update-64", "update-cached-64", "delete-64"}
)
