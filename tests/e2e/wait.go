package e2e

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"
)

// eventually polls until check returns "" and fails the test after limit with
// what check said last.
func eventually(t *testing.T, limit time.Duration, what string, check func(ctx context.Context) string) {
	t.Helper()
	if last := poll(limit, check); last != "" {
		t.Fatalf("%s: not within %s: %s", what, limit, last)
	}
}

// poll returns "" or what check said last. The pace slows down from 20 ms to 500 ms.
func poll(limit time.Duration, check func(ctx context.Context) string) string {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	pace := 20 * time.Millisecond
	last := "never checked"
	for {
		if now := check(ctx); now == "" {
			return ""
		} else if ctx.Err() == nil || last == "never checked" {
			last = now // what a cancelled request says is no news
		}
		select {
		case <-ctx.Done():
			return last
		case <-time.After(pace):
			pace = min(pace*3/2, 500*time.Millisecond)
		}
	}
}

// said turns an error into a reason to wait; "" for none.
func said(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// expectf is "" when ok, else the formatted reason.
func expectf(ok bool, format string, args ...any) string {
	if ok {
		return ""
	}
	return fmt.Sprintf(format, args...)
}

func must[T any](t *testing.T) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// freePorts asks the kernel for n ports and gives them back.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer listener.Close()
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
