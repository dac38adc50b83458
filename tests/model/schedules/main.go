// Schedules writes runs of the model as JSON, to be replayed against the code:
// random ones of every scenario, and the shortest one to each broken law.
//
//	go run ./model/schedules -dir out/schedules -runs 20 -seed 1
package main

import (
	"flag"
	"fmt"
	"log"
	"math/rand"
	"os"
	"path/filepath"
	"strings"

	"github.com/libstorage/tests/model"
)

func main() {
	dir := flag.String("dir", "schedules", "where the files go")
	runs := flag.Int("runs", 20, "random runs of each scenario")
	seed := flag.Int64("seed", 1, "of the random runs")
	most := flag.Int("steps", 200, "of a random run at most")
	flag.Parse()
	if err := os.MkdirAll(*dir, 0o755); err != nil {
		log.Fatal(err)
	}
	for _, c := range model.Scenarios() {
		random := rand.New(rand.NewSource(*seed))
		for n := 0; n < *runs; n++ {
			write(c, model.RandomRun(c, random, *most), filepath.Join(*dir, fmt.Sprintf("%s-%03d.json", c.Name, n)))
		}
	}
	for _, list := range [][]model.Mutation{model.Counterexamples(), model.Others()} {
		for _, m := range list {
			r := model.Explore(m.Scope, nil)
			write(m.Scope, r.Trace, filepath.Join(*dir, "broken-"+fileName(m)+".json"))
		}
	}
}

func fileName(m model.Mutation) string {
	words := strings.FieldsFunc(strings.ToLower(m.Number+" "+m.Name), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
	return strings.Join(words, "-")
}

func write(c *model.Scenario, steps []model.Step, path string) {
	schedule, _, err := model.Replay(c, steps)
	if err != nil {
		log.Fatalf("%s: %v", c.Name, err)
	}
	text, err := schedule.JSON()
	if err != nil {
		log.Fatalf("%s: %v", c.Name, err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		log.Fatal(err)
	}
}
