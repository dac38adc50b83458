package multi

import (
	"io"
	"net"
	"testing"
	"time"
)

// echo answers what it gets, and tells what that was.
func echo(t *testing.T) (address string, got chan string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	got = make(chan string, 100)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				buffer := make([]byte, 100)
				for {
					n, err := conn.Read(buffer)
					if err != nil {
						return
					}
					got <- string(buffer[:n])
					conn.Write(buffer[:n])
				}
			}()
		}
	}()
	return listener.Addr().String(), got
}

type caller struct {
	t *testing.T
	net.Conn
}

func through(t *testing.T, p *Proxy) caller {
	conn, err := net.Dial("tcp", p.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return caller{t, conn}
}

func (c caller) say(text string) {
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatal(err)
	}
}

// hear what is answered within a moment; "" nothing, "closed" an end.
func (c caller) hear(limit time.Duration) string {
	buffer := make([]byte, 100)
	c.SetReadDeadline(time.Now().Add(limit))
	n, err := c.Read(buffer)
	if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
		return ""
	}
	if err != nil {
		return "closed"
	}
	return string(buffer[:n])
}

const (
	soon  = 10 * time.Second
	never = 100 * time.Millisecond
)

func newProxy(t *testing.T) (*Proxy, chan string) {
	address, got := echo(t)
	p, err := NewProxy(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p, got
}

func TestProxyLoses(t *testing.T) {
	for what, arrives := range map[Lose]bool{LoseRequest: false, LoseReply: true} {
		p, got := newProxy(t)
		c := through(t, p)
		hit := p.Lose(what, "COMMIT", never)
		c.say("BEGIN")
		if text := c.hear(soon); text != "BEGIN" || <-got != "BEGIN" {
			t.Errorf("before the words: %q", text)
		}
		c.say("xCOMMITx")
		if text := c.hear(soon); text != "closed" {
			t.Errorf("%d: answered %q", what, text)
		}
		<-hit
		select {
		case <-got:
			if !arrives {
				t.Error("a lost request arrived")
			}
		case <-time.After(never):
			if arrives {
				t.Error("the request of a lost reply did not arrive")
			}
		}
		c = through(t, p)
		if c.say("COMMIT"); c.hear(soon) != "COMMIT" {
			t.Error("it loses twice")
		}
	}
}

func TestProxyFreezesAndCuts(t *testing.T) {
	p, _ := newProxy(t)
	c := through(t, p)
	c.say("a")
	c.hear(soon)
	p.Freeze()
	c.say("b")
	if text := c.hear(never); text != "" {
		t.Errorf("frozen, %q passes", text)
	}
	p.Thaw()
	if text := c.hear(soon); text != "b" {
		t.Errorf("after a thaw: %q", text)
	}
	if n := p.Cut(); n != 1 {
		t.Errorf("%d connections", n)
	}
	if text := c.hear(soon); text != "closed" {
		t.Errorf("after a cut: %q", text)
	}
}

// TestProxyRedirects: new connections go elsewhere, old ones when they are cut.
func TestProxyRedirects(t *testing.T) {
	p, first := newProxy(t)
	address, second := echo(t)
	old := through(t, p)
	old.say("a")
	old.hear(soon)
	p.Redirect(address)
	old.say("b")
	if text := old.hear(soon); text != "b" {
		t.Errorf("a connection that there was answers %q", text)
	}
	fresh := through(t, p)
	fresh.say("c")
	fresh.hear(soon)
	if <-first != "a" || <-first != "b" || <-second != "c" {
		t.Error("it did not arrive where it should")
	}
}
