// Program recheck runs the checker on kept histories.
package main

import (
	"fmt"
	"os"

	"github.com/libstorage/tests/crash/harness"
	"github.com/libstorage/tests/history"
)

func main() {
	status := 0
	for _, path := range os.Args[1:] {
		if err := recheck(path); err != nil {
			fmt.Printf("%s: %v\n", path, err)
			status = 1
		}
	}
	os.Exit(status)
}

func recheck(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	h, err := history.Read(file)
	if err != nil {
		return err
	}
	fmt.Printf("%s: %d calls, %d streams, %d marks\n", path, len(h.Ops), len(h.Streams), len(h.Marks))
	return harness.Check(h)
}
