package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestEveryRowHasSamples(t *testing.T) {
	measured := map[string]bool{} // "scenario side"
	for _, g := range groups {
		for _, scenario := range g.scenarios {
			for _, p := range g.sides {
				key := g.prefix + scenario + " " + p.side
				if measured[key] {
					t.Errorf("%s is measured twice", key)
				}
				measured[key] = true
			}
		}
	}
	for i, line := range table {
		for _, side := range []string{"ours", line.peer} {
			if !measured[line.scenario+" "+side] {
				t.Errorf("no group measures %s on the side %s", line.scenario, side)
			}
		}
		row := Row{Scenario: line.name, Callers: line.callers, Unit: line.unit, PeerName: line.peerName}
		if slices.IndexFunc(table, func(other spec) bool { return other.is(row) }) != i {
			t.Errorf("two rows are %+v", row)
		}
	}
}

func TestSelection(t *testing.T) {
	for _, c := range []struct {
		only, what string
		want       bool
	}{
		{"^pg-", "kine", true},
		{"^pg-list", "kine", false},
		{"^etcd-", "kine", false},
		{"^pg-", "kube", false},
		{"", "kube", true},
		{"create-64", "spread", true},
		{"^create-64", "spread", false},
	} {
		b := &bench{pattern: regexp.MustCompile(c.only)}
		if got := b.wants(c.what) == nil; got != c.want {
			t.Errorf("BENCH_ONLY=%q wants %s: %v", c.only, c.what, got)
		}
	}
}

func TestEachSideIsFirstInTurn(t *testing.T) {
	g, err := findGroup("pg-calls")
	if err != nil {
		t.Fatal(err)
	}
	first := map[string]bool{}
	for run := range 3 {
		order := g.order(run)
		if len(order) != 3 {
			t.Errorf("run %d has %d sides", run, len(order))
		}
		first[order[0].side] = true
	}
	if len(first) != 3 {
		t.Errorf("first were only %v", first)
	}
	if _, err := findGroup("none"); err == nil {
		t.Error("an unknown group was found")
	}
	if _, err := g.opener("etcd"); err == nil {
		t.Error("a side that the group does not have was found")
	}
}

func TestScale(t *testing.T) {
	defer func() { scale = 1 }()
	for _, bad := range []string{"0", "-1", "x", "1.5"} {
		if setScale(bad) == nil {
			t.Errorf("a scale of %s was taken", bad)
		}
	}
	if err := setScale("20"); err != nil || scaled(20000) != 1000 || scaled(7) != 1 {
		t.Errorf("%v, %d, %d", err, scaled(20000), scaled(7))
	}
}

// TestMerge: rows of this run replace their own, the others stay, in the table's order.
func TestMerge(t *testing.T) {
	find := func(scenario, peer string) Row {
		for _, s := range table {
			if s.scenario == scenario && s.peer == peer {
				return Row{Scenario: s.name, Callers: s.callers, Unit: s.unit, PeerName: s.peerName}
			}
		}
		t.Fatalf("no row of %s beside %s", scenario, peer)
		return Row{}
	}
	unnamed := find("create-64", "etcd")
	unnamed.PeerName, unnamed.Ours = "", 1 // as rows were before
	kine, raw := find("pg-create-64", "kine"), find("pg-create-64", "raw")
	kine.Ours, raw.Ours = 2, 3
	measured := raw
	measured.Ours = 4
	rows := merge([]Row{raw, kine, unnamed, {Scenario: "gone"}}, []result{{Row: measured}})
	if len(rows) != 3 || rows[0].Ours != 1 || rows[1].Ours != 2 || rows[2].Ours != 4 {
		t.Errorf("merged: %+v", rows)
	}
}

// TestEvaluate: each row has the peer that it names, and none is made of one side.
func TestEvaluate(t *testing.T) {
	at := func(rate float64) []Sample { return []Sample{{Rate: rate, Ops: 1, Wall: 1}} }
	all := samples{"pg-create-64": {"ours": at(1300), "kine": at(200), "raw": at(1200)}, "pg-get-64": {"ours": at(5)}}
	var got []string
	for _, r := range evaluate(all) {
		got = append(got, strings.Fields(r.PeerName)[0]+" "+short(r.Peer)+" "+r.Target+" "+map[bool]string{true: "met", false: "missed"}[r.Met])
	}
	if want := []string{"etcd3 200 >= 5x met", "raw 1200 >= 1.2x missed"}; !slices.Equal(got, want) {
		t.Errorf("rows %q, want %q", got, want)
	}
}

// TestWants: a group measures its own scenarios only, whatever the pattern says.
func TestWants(t *testing.T) {
	g, err := findGroup("pg-lists")
	if err != nil {
		t.Fatal(err)
	}
	for only, want := range map[string]bool{"": true, "^pg-": true, "^list": false} {
		c := &child{scenarios: g.scenarios, prefix: g.prefix, only: regexp.MustCompile(only)}
		if got := c.wants("list-50k-pages"); got != want {
			t.Errorf("BENCH_ONLY=%q wants the list: %v", only, got)
		}
		if c.wants("list-10k") {
			t.Errorf("BENCH_ONLY=%q wants what the group does not have", only)
		}
	}
}
