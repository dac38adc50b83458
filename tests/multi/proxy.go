// Package multi runs store servers over databases of every kind while servers,
// databases and the connections between them fail at random, and checks what
// everybody was told.
package multi

import (
	"bytes"
	"net"
	"sync"
	"time"
)

// Lose says what a Proxy loses at the first request with certain bytes.
type Lose int

// What is lost.
const (
	LoseRequest Lose = iota // it never arrives
	LoseReply               // it arrives; nothing that is answered from then on does
)

// Proxy stands between the servers and a database on this machine. It knows no
// protocol: it looks for bytes.
type Proxy struct {
	listener net.Listener

	mu     sync.Mutex
	to     string
	links  map[*link]bool
	thawed chan struct{} // nil unless frozen
	loss   *loss
}

type loss struct {
	what   Lose
	words  []byte
	silent time.Duration
	hit    chan struct{}
}

// link is one connection through the proxy.
type link struct {
	proxy          *Proxy
	client, server net.Conn
	mu             sync.Mutex
	deaf, silent   bool // requests, answers are lost
}

// NewProxy to an address.
func NewProxy(to string) (*Proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{listener: listener, to: to, links: map[*link]bool{}}
	go p.accept()
	return p, nil
}

// Port that it listens on.
func (p *Proxy) Port() int { return p.listener.Addr().(*net.TCPAddr).Port }

// Close ends it with all connections.
func (p *Proxy) Close() {
	p.listener.Close()
	p.Thaw()
	p.Cut()
}

// Cut closes all connections and says how many they were.
func (p *Proxy) Cut() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.close()
	}
	return len(p.links)
}

// Redirect leads new connections to another address. Those that there are stay: Cut
// them.
func (p *Proxy) Redirect(to string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.to = to
}

// Freeze holds all bytes of all connections, also of new ones, until Thaw.
func (p *Proxy) Freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.thawed == nil {
		p.thawed = make(chan struct{})
	}
}

// Thaw after Freeze.
func (p *Proxy) Thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.thawed != nil {
		close(p.thawed)
		p.thawed = nil
	}
}

// Lose arms it, once: at the first request with the words the connection loses what
// is said, falls silent for so long, and is closed. The channel is closed by then.
func (p *Proxy) Lose(what Lose, words string, silent time.Duration) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.loss = &loss{what, []byte(words), silent, make(chan struct{})}
	return p.loss.hit
}

// Disarm gives up waiting for the words.
func (p *Proxy) Disarm() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.loss = nil
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		p.mu.Lock()
		to := p.to
		p.mu.Unlock()
		server, err := net.Dial("tcp", to)
		if err != nil {
			client.Close()
			continue
		}
		l := &link{proxy: p, client: client, server: server}
		p.mu.Lock()
		p.links[l] = true
		p.mu.Unlock()
		go l.pump(client, server, l.request)
		go l.pump(server, client, l.answer)
	}
}

func (l *link) close() {
	l.client.Close()
	l.server.Close()
}

// pump until an end closes; then both are.
func (l *link) pump(from, to net.Conn, pass func(chunk []byte) bool) {
	defer func() {
		l.close()
		l.proxy.mu.Lock()
		delete(l.proxy.links, l)
		l.proxy.mu.Unlock()
	}()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			l.proxy.wait()
			if pass(buffer[:n]) {
				if _, err := to.Write(buffer[:n]); err != nil {
					return
				}
			}
		}
		if err != nil {
			return
		}
	}
}

func (p *Proxy) wait() {
	p.mu.Lock()
	thawed := p.thawed
	p.mu.Unlock()
	if thawed != nil {
		<-thawed
	}
}

// request passes unless it is to be lost.
func (l *link) request(chunk []byte) bool {
	p := l.proxy
	p.mu.Lock()
	found := p.loss
	hit := found != nil && bytes.Contains(chunk, found.words)
	if hit {
		p.loss = nil
	}
	p.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !hit {
		return !l.deaf
	}
	l.silent, l.deaf = true, found.what == LoseRequest
	time.AfterFunc(found.silent, func() {
		l.close()
		close(found.hit)
	})
	return !l.deaf
}

func (l *link) answer([]byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.silent
}
