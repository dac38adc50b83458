package history

import (
	"bytes"
	"reflect"
	"testing"
)

func TestWhatIsRecordedIsReadBack(t *testing.T) {
	var file bytes.Buffer
	r := NewRecorder(&file)
	stream := &Stream{ID: r.NextID(), Watcher: 1, Prefix: "k/", After: 4, Start: r.Now()}
	r.Open(stream)
	r.Op(&Op{ID: r.NextID(), Kind: List, Key: "k/", Start: 1, End: 2, Result: OK, Rev: 5, Items: []Item{{"k/a", "v", 5}}})
	r.Deliver(stream, Event{Kind: Put, Rev: 5, Key: "k/a", Value: "v", Time: r.Now()})
	r.Mark(Kill, 0, "pid 1")
	r.Close(stream, Compacted, "too old")
	want, err := r.Finish()
	if err != nil {
		t.Fatal(err)
	}
	file.WriteString(`{"op":{"id":`) // cut short
	got, err := Read(&file)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestAnEventNeedsItsStream(t *testing.T) {
	if _, err := Read(bytes.NewBufferString(`{"event":{"stream":7,"kind":"put","rev":1,"time":1}}` + "\n")); err == nil {
		t.Error("want an error")
	}
}
