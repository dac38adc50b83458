package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"
)

// Row is one line of last.json: scripts rely on it.
type Row struct {
	Scenario string  `json:"scenario"`
	Callers  int     `json:"callers"`
	Unit     string  `json:"unit"`
	Ours     float64 `json:"ours"`
	Peer     float64 `json:"peer"`
	Ratio    float64 `json:"ratio"`  // ours / peer
	Target   string  `json:"target"` // "" promises nothing
	Met      bool    `json:"met"`

	PeerName string   `json:"peer_name,omitempty"`
	Runs     int      `json:"runs,omitempty"` // of which these are medians
	OursCost *RowCost `json:"ours_cost,omitempty"`
	PeerCost *RowCost `json:"peer_cost,omitempty"`
}

// RowCost is the CPU per call, and the memory, of the process that calls and of the
// servers behind it.
type RowCost struct {
	ClientCPU float64 `json:"client_cpu_us"`
	ServerCPU float64 `json:"server_cpu_us"`
	ClientMiB float64 `json:"client_mib"`
	ServerMiB float64 `json:"server_mib"`
}

func costOf(runs []Sample) *RowCost {
	return &RowCost{median(runs, clientCPU), median(runs, serverCPU), median(runs, clientMiB), median(runs, serverMiB)}
}

// result is a row with what it cost.
type result struct {
	Row
	ours, peer []Sample
}

// evaluate makes the rows that have samples of both sides.
func evaluate(all samples) []result {
	var results []result
	for _, spec := range table {
		ours, peer := all[spec.scenario]["ours"], all[spec.scenario][spec.peer]
		if len(ours) == 0 || len(peer) == 0 {
			continue
		}
		r := result{ours: ours, peer: peer}
		r.Row = Row{Scenario: spec.name, Callers: spec.callers, Unit: spec.unit,
			Ours: median(ours, spec.value), Peer: median(peer, spec.value),
			PeerName: spec.peerName, Runs: min(len(ours), len(peer)), OursCost: costOf(ours), PeerCost: costOf(peer)}
		if r.Peer != 0 {
			r.Ratio = r.Ours / r.Peer
		}
		r.Target, r.Met = spec.target(r.Ours, r.Peer, all)
		results = append(results, r)
	}
	return results
}

func resumed(s Sample) float64 { return float64(s.Resumed) }

func cores(s Sample) float64 { return s.CPU.Seconds() / s.Wall.Seconds() }

func print(out io.Writer, results []result) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "scenario\tcallers\tunit\tours\tpeer\tratio\ttarget\tmet\tCPU us/call\tserver's\tcores\tpeak MiB\tpeer is")
	for _, r := range results {
		met := ""
		if r.Target != "" {
			met = map[bool]string{true: "yes", false: "NO"}[r.Met]
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%.2f\t%s\t%s\t%.0f / %.0f\t%.0f / %.0f\t%.1f / %.1f\t%.0f / %.0f\t%s\n",
			r.Scenario, r.Callers, r.Unit, short(r.Ours), short(r.Peer), r.Ratio, r.Target, met,
			median(r.ours, cpu), median(r.peer, cpu), r.OursCost.ServerCPU, r.PeerCost.ServerCPU,
			median(r.ours, cores), median(r.peer, cores),
			median(r.ours, mib), median(r.peer, mib), r.PeerName)
	}
	w.Flush()
	for _, r := range results {
		ours, peer := median(r.ours, resumed), median(r.peer, resumed)
		if ours+peer > 0 {
			fmt.Fprintf(out, "%s: watches that the server ended and that were resumed: ours %.0f, peer %.0f\n", r.Scenario, ours, peer)
		}
	}
}

func short(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.4f", v)
}

// save replaces the rows that were measured and leaves the others.
func save(path string, results []result) error {
	var old []Row
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, &old)
	} else if os.IsNotExist(err) {
		err = nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	data, err = json.MarshalIndent(merge(old, results), "", " ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", append(data, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// merge is in the order of the table. Old rows that the table no longer has go.
func merge(old []Row, results []result) []Row {
	rows := []Row{}
	for _, spec := range table {
		if i := slices.IndexFunc(results, func(r result) bool { return spec.is(r.Row) }); i >= 0 {
			rows = append(rows, results[i].Row)
		} else if i := slices.IndexFunc(old, spec.is); i >= 0 {
			rows = append(rows, old[i])
		}
	}
	return rows
}

// is tells whether a row is of this line of the table. Rows from before there were
// several peers do not name theirs.
func (s spec) is(r Row) bool {
	peer := r.PeerName == s.peerName || (r.PeerName == "" && s.peerName == stockEtcd)
	return peer && r.Scenario == s.name && r.Callers == s.callers && r.Unit == s.unit
}
