package e2e

import (
	"fmt"
	"io"
	"net"
	"sync/atomic"
)

// balancer gives connections to some servers, in turn, as what stands before the API
// servers of a cluster does. One that is down gets none.
type balancer struct {
	listener net.Listener
	servers  []string // addresses
	next     atomic.Int64
}

func newBalancer(port int, servers []string) (*balancer, error) {
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil, err
	}
	b := &balancer{listener: listener, servers: servers}
	go b.accept()
	return b, nil
}

func (b *balancer) accept() {
	for {
		client, err := b.listener.Accept()
		if err != nil {
			return // closed
		}
		go b.serve(client)
	}
}

func (b *balancer) serve(client net.Conn) {
	defer client.Close()
	first := b.next.Add(1)
	for i := range b.servers {
		server, err := net.Dial("tcp", b.servers[(int(first)+i)%len(b.servers)])
		if err != nil {
			continue
		}
		defer server.Close()
		ended := make(chan struct{}, 2)
		carry := func(to, from net.Conn) {
			_, _ = io.Copy(to, from)
			ended <- struct{}{}
		}
		go carry(server, client)
		go carry(client, server)
		<-ended // either side: the other one sees it by the closing of both
		return
	}
}

// Close takes no more connections; those that there are go on.
func (b *balancer) Close() { b.listener.Close() }
