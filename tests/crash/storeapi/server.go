// Package storeapi is a kv.Store over HTTP: plain JSON, for tests alone.
package storeapi

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/libstorage/go-shim/kv"
)

// Request of a call. Verbs are those of history, and "compact".
type Request struct {
	Verb     string
	Key      string
	Value    string
	Expected int64
	At       int64 // reads: exactly this revision
	Min      int64 // list: this revision or a later one
	Start    string
	Limit    int64
}

// Response to a call. Code "" is success, "UNKNOWN" an open outcome.
type Response struct {
	Code    string `json:",omitempty"`
	Message string `json:",omitempty"`
	Rev     int64
	Items   []Item `json:",omitempty"`
	More    bool   `json:",omitempty"`
}

// Item is one object, or one event of a watch.
type Item struct {
	Kind  string `json:",omitempty"` // events: "put", "deleted", "progress", or "end" with a Code
	Code  string `json:",omitempty"`
	Key   string `json:",omitempty"`
	Value string `json:",omitempty"`
	Rev   int64
}

// codes that are told to the client by name; every other one leaves a write open.
var codes = map[kv.Code]string{
	kv.CodeNotFound: "NOT_FOUND", kv.CodeExists: "EXISTS", kv.CodeConflict: "CONFLICT", kv.CodeCompacted: "COMPACTED",
	kv.CodeFutureRevision: "FUTURE_REVISION", kv.CodeInvalid: "INVALID", kv.CodeTooLarge: "TOO_LARGE", kv.CodeBusy: "BUSY",
	kv.CodeReadOnly: "READ_ONLY", kv.CodeNoSpace: "NO_SPACE", kv.CodeUnavailable: "UNAVAILABLE", kv.CodeSlowConsumer: "SLOW_CONSUMER",
}

const unknown = "UNKNOWN"

type server struct {
	store  kv.Store
	id     kv.ResourceID
	prefix string
}

// Handler serves the keys of one resource, without its prefix.
func Handler(store kv.Store, id kv.ResourceID, prefix string) http.Handler {
	s := &server{store, id, prefix}
	mux := http.NewServeMux()
	mux.HandleFunc("/call", s.call)
	mux.HandleFunc("/watch", s.watch)
	return mux
}

// rangeOf the keys that begin with prefix, from start.
func (s *server) rangeOf(prefix, start string) (from, end string) {
	from = s.prefix + prefix
	last := []byte(from)
	last[len(last)-1]++ // prefixes end in '/'
	if start != "" {
		from = s.prefix + start
	}
	return from, string(last)
}

func (s *server) call(w http.ResponseWriter, r *http.Request) {
	var request Request
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	response, err := s.do(r, &request)
	if err != nil {
		response.Code, response.Message = unknown, err.Error()
		var answer *kv.Error
		if errors.As(err, &answer) {
			response.Rev = answer.Revision
			answer.Current.Release()
			if code, ok := codes[answer.Code]; ok {
				response.Code = code
			}
		}
	}
	_ = json.NewEncoder(w).Encode(response) // the client may have gone
}

func (s *server) do(r *http.Request, q *Request) (response Response, err error) {
	ctx := r.Context()
	read := kv.ReadOptions{Revision: max(q.At, q.Min), Exact: q.At != 0, Limit: q.Limit}
	var result *kv.Result
	switch q.Verb {
	case "create":
		response.Rev, err = s.store.Put(ctx, s.id, s.prefix+q.Key, []byte(q.Value), kv.PutOptions{})
	case "update":
		response.Rev, err = s.store.Put(ctx, s.id, s.prefix+q.Key, []byte(q.Value), kv.PutOptions{Expected: q.Expected})
	case "delete":
		response.Rev, err = s.store.Delete(ctx, s.id, s.prefix+q.Key, q.Expected)
	case "get":
		result, err = s.store.Get(ctx, s.id, s.prefix+q.Key, read)
	case "list":
		from, end := s.rangeOf(q.Key, q.Start)
		result, err = s.store.List(ctx, s.id, from, end, read)
	case "compact":
		err = s.store.Compact(ctx, q.At)
	default:
		err = errors.New("unknown verb " + q.Verb)
	}
	if result != nil {
		defer result.Release()
		response.Rev, response.More = result.Revision, result.More
		for _, row := range result.KVs {
			key := strings.TrimPrefix(string(row.Key), s.prefix)
			response.Items = append(response.Items, Item{Key: key, Value: string(row.Value), Rev: row.ModRevision})
		}
	}
	return response, err
}

// watch streams a JSON value a line until the client goes or the watch ends.
func (s *server) watch(w http.ResponseWriter, r *http.Request) {
	after, err := strconv.ParseInt(r.URL.Query().Get("after"), 10, 64)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	out := json.NewEncoder(w)
	end := func(err error) {
		item := Item{Kind: "end", Code: unknown, Value: err.Error()}
		var answer *kv.Error
		if errors.As(err, &answer) && codes[answer.Code] != "" {
			item.Code = codes[answer.Code]
		}
		_ = out.Encode(item) // the client may have gone
	}
	start, stop := s.rangeOf(r.URL.Query().Get("prefix"), "")
	watcher, err := s.store.Watch(r.Context(), s.id, start, stop, after)
	if err != nil {
		end(err)
		return
	}
	defer watcher.Close()
	w.(http.Flusher).Flush() // the headers: the watch has begun
	for {
		batch, err := watcher.Next(r.Context())
		if err != nil {
			end(err)
			return
		}
		if s.send(out, batch) != nil {
			return
		}
		w.(http.Flusher).Flush()
	}
}

func (s *server) send(out *json.Encoder, batch *kv.Batch) error {
	defer batch.Release()
	for _, event := range batch.Events {
		item := Item{Kind: "put", Rev: event.Revision, Key: strings.TrimPrefix(string(event.Key), s.prefix), Value: string(event.Value)}
		if event.Kind == kv.EventDelete || event.Kind == kv.EventExpire {
			item.Kind, item.Value = "deleted", string(event.Prev)
		}
		if err := out.Encode(item); err != nil {
			return err
		}
	}
	if batch.Progress > 0 {
		return out.Encode(Item{Kind: "progress", Rev: batch.Progress})
	}
	return nil
}
