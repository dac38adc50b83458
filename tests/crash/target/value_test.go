package target

import (
	"strings"
	"testing"
)

func TestATornValueIsNoticed(t *testing.T) {
	value := Pad("v17", 1000)
	if len(value) != 1000 || Unpad(value) != "v17" {
		t.Fatalf("%d bytes, token %q", len(value), Unpad(value))
	}
	for name, torn := range map[string]string{
		"one byte":   value[:500] + "x" + value[501:],
		"zeros":      value[:512] + strings.Repeat("\x00", len(value)-512),
		"two writes": value[:512] + Pad("v18", 1000)[512:],
		"no token":   "",
		"cut":        value[:507],
	} {
		if got := Unpad(torn); got == "v17" || !strings.HasPrefix(got, "corrupt") {
			t.Errorf("%s: %q", name, got)
		}
	}
}
