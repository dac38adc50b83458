package history

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"
)

// record is one line; exactly one field is set.
type record struct {
	Op     *Op        `json:"op,omitempty"`
	Stream *Stream    `json:"stream,omitempty"`
	Event  *lineEvent `json:"event,omitempty"`
	End    *lineEnd   `json:"end,omitempty"`
	Mark   *Mark      `json:"mark,omitempty"`
}

type lineEvent struct {
	Stream int `json:"stream"`
	Event
}

type lineEnd struct {
	Stream int    `json:"stream"`
	Time   int64  `json:"time"`
	Code   Code   `json:"code,omitempty"`
	Error  string `json:"error,omitempty"`
}

// Recorder collects a history and writes it out. Safe for concurrent use.
type Recorder struct {
	begin time.Time

	mu      sync.Mutex
	history History
	out     *bufio.Writer
	err     error
	lastID  int
}

// NewRecorder writes to out; nil keeps it in memory alone.
func NewRecorder(out io.Writer) *Recorder {
	if out == nil {
		out = io.Discard
	}
	return &Recorder{begin: time.Now(), out: bufio.NewWriter(out)}
}

// Now is the time of the run, monotonic.
func (r *Recorder) Now() int64 { return int64(time.Since(r.begin)) }

// NextID numbers calls and streams.
func (r *Recorder) NextID() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lastID++
	return r.lastID
}

// write needs mu.
func (r *Recorder) write(line record) {
	data, err := json.Marshal(line)
	if err == nil {
		_, err = r.out.Write(append(data, '\n'))
	}
	if r.err == nil {
		r.err = err
	}
}

// Op records a finished call.
func (r *Recorder) Op(op *Op) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.history.Ops = append(r.history.Ops, op)
	r.write(record{Op: op})
}

// Open records the start of a stream, which Deliver and Close belong to.
func (r *Recorder) Open(stream *Stream) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.history.Streams = append(r.history.Streams, stream)
	r.write(record{Stream: stream})
}

// Deliver records one event of a stream.
func (r *Recorder) Deliver(stream *Stream, event Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	stream.Events = append(stream.Events, event)
	r.write(record{Event: &lineEvent{stream.ID, event}})
}

// Close records the end of a stream.
func (r *Recorder) Close(stream *Stream, code Code, message string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	stream.End, stream.Code, stream.Error = r.Now(), code, message
	r.write(record{End: &lineEnd{stream.ID, stream.End, code, message}})
}

// Mark records something done to the server, now.
func (r *Recorder) Mark(kind MarkKind, rev int64, note string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	mark := Mark{Kind: kind, Time: r.Now(), Rev: rev, Note: note}
	r.history.Marks = append(r.history.Marks, mark)
	r.write(record{Mark: &mark})
}

// Finish flushes and returns what was recorded. Nothing may be recorded afterwards.
func (r *Recorder) Finish() (*History, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.out.Flush(); r.err == nil {
		r.err = err
	}
	return &r.history, r.err
}

// Read parses what a Recorder wrote. A last line that was cut short is ignored.
func Read(in io.Reader) (*History, error) {
	h := &History{}
	streams := map[int]*Stream{}
	reader := bufio.NewReaderSize(in, 1<<20)
	for number := 1; ; number++ {
		text, err := reader.ReadBytes('\n')
		if err == io.EOF {
			return h, nil
		}
		if err != nil {
			return nil, err
		}
		var line record
		if err := json.Unmarshal(text, &line); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		if err := h.add(line, streams); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
	}
}

func (h *History) add(line record, streams map[int]*Stream) error {
	find := func(id int) (*Stream, error) {
		if stream, ok := streams[id]; ok {
			return stream, nil
		}
		return nil, fmt.Errorf("stream %d was not opened", id)
	}
	switch {
	case line.Op != nil:
		h.Ops = append(h.Ops, line.Op)
	case line.Stream != nil:
		streams[line.Stream.ID] = line.Stream
		h.Streams = append(h.Streams, line.Stream)
	case line.Event != nil:
		stream, err := find(line.Event.Stream)
		if err != nil {
			return err
		}
		stream.Events = append(stream.Events, line.Event.Event)
	case line.End != nil:
		stream, err := find(line.End.Stream)
		if err != nil {
			return err
		}
		stream.End, stream.Code, stream.Error = line.End.Time, line.End.Code, line.End.Error
	case line.Mark != nil:
		h.Marks = append(h.Marks, *line.Mark)
	default:
		return fmt.Errorf("an empty record")
	}
	return nil
}
