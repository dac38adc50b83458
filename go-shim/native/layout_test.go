//go:build cgo

package native

import (
	"bufio"
	"fmt"
	"os"
	"testing"
)

// The numbers that the C test checks are those that cgo compiled against.
func TestLayout(t *testing.T) {
	file, err := os.Open("../../libstorage/tests/abi/layout.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	want := map[string]uintptr{}
	for scanner := bufio.NewScanner(file); scanner.Scan(); {
		var name string
		var value uintptr
		if _, err := fmt.Sscan(scanner.Text(), &name, &value); err != nil {
			t.Fatal(err)
		}
		want[name] = value
	}
	got := map[string]uintptr{}
	for name, layout := range layoutsForTest() {
		got[name] = layout.Size()
		for i := range layout.NumField() {
			got[name+"."+layout.Field(i).Name] = layout.Field(i).Offset
		}
	}
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s: cgo sees %d, the table says %d", name, got[name], value)
		}
		delete(got, name)
	}
	for name := range got {
		t.Errorf("%s is not in the table", name)
	}
}
