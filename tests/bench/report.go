package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
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
}

// result is a row with what it cost.
type result struct {
	Row
	ours, peer []Sample
}

func evaluate(all samples) []result {
	var results []result
	for _, spec := range table {
		runs := all[spec.scenario]
		if runs == nil {
			continue
		}
		r := result{ours: runs["ours"], peer: runs["etcd"]}
		r.Row = Row{Scenario: spec.name, Callers: spec.callers, Unit: spec.unit,
			Ours: median(r.ours, spec.value), Peer: median(r.peer, spec.value)}
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
	fmt.Fprintln(w, "scenario\tcallers\tunit\tours\tetcd\tratio\ttarget\tmet\tCPU us/call\tcores\tpeak MiB")
	for _, r := range results {
		met := ""
		if r.Target != "" {
			met = map[bool]string{true: "yes", false: "NO"}[r.Met]
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%.2f\t%s\t%s\t%.0f / %.0f\t%.1f / %.1f\t%.0f / %.0f\n",
			r.Scenario, r.Callers, r.Unit, short(r.Ours), short(r.Peer), r.Ratio, r.Target, met,
			median(r.ours, cpu), median(r.peer, cpu), median(r.ours, cores), median(r.peer, cores),
			median(r.ours, mib), median(r.peer, mib))
	}
	w.Flush()
	for _, r := range results {
		ours, peer := median(r.ours, resumed), median(r.peer, resumed)
		if ours+peer > 0 {
			fmt.Fprintf(out, "%s: watches that the server ended and that were resumed: ours %.0f, etcd %.0f\n", r.Scenario, ours, peer)
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

func save(path string, results []result) error {
	rows := make([]Row, len(results))
	for i, r := range results {
		rows[i] = r.Row
	}
	data, err := json.MarshalIndent(rows, "", " ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", append(data, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
