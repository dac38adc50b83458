//go:build cgo

package native

import (
	"fmt"
	"sync/atomic"
)

// logPump hands the library's messages to the caller's function on a goroutine
// of its own, so that a slow log delays no completion.
type logPump struct {
	sink    func(LogLevel, string)
	queue   chan logMessage
	dropped atomic.Int64
	done    chan struct{}
}

type logMessage struct {
	level LogLevel
	text  string
}

// startLogs returns nil without a sink; a nil pump drops everything.
func startLogs(sink func(LogLevel, string)) *logPump {
	if sink == nil {
		return nil
	}
	p := &logPump{sink: sink, queue: make(chan logMessage, 256), done: make(chan struct{})}
	go p.run()
	return p
}

func (p *logPump) run() {
	defer close(p.done)
	for m := range p.queue {
		p.sink(m.level, m.text)
		if n := p.dropped.Swap(0); n > 0 {
			p.sink(LogWarning, fmt.Sprintf("%d log messages were dropped", n))
		}
	}
}

// push is for the dispatcher alone.
func (p *logPump) push(level LogLevel, text string) {
	if p == nil {
		return
	}
	select {
	case p.queue <- logMessage{level, text}:
	default:
		p.dropped.Add(1)
	}
}

// stop returns when everything pushed was delivered. Nobody may push any more.
func (p *logPump) stop() {
	if p != nil {
		close(p.queue)
		<-p.done
	}
}
