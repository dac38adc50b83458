package target

import (
	"fmt"
	"hash/fnv"
	"strings"
)

// Unfit is the exit status of a server that cannot go on and has to be started again.
const Unfit = 3

// Pad makes a token a value of exactly size bytes, each of which follows from the
// token and the size, so that a torn or cut value is noticed.
func Pad(token string, size int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s|%d|", token, size)
	hash := fnv.New64a()
	for b.Len() < size {
		hash.Write([]byte(token))
		fmt.Fprintf(&b, "%016x", hash.Sum64())
	}
	return b.String()[:size]
}

// Unpad gives the token back, or a text that no writer wrote.
func Unpad(value string) string {
	token, _, found := strings.Cut(value, "|")
	if !found || Pad(token, len(value)) != value {
		return fmt.Sprintf("corrupt value of %d bytes: %.60q", len(value), value)
	}
	return token
}
