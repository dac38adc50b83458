package storeapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

	"github.com/libstorage/tests/crash/target"
	"github.com/libstorage/tests/history"
)

// ValueSize of what clients write.
const ValueSize = 1000

// Client implements target.Client over a UNIX socket.
type Client struct{ http http.Client }

// NewClient of a server that listens, now or later, on a socket.
func NewClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}
	return &Client{http.Client{Transport: &http.Transport{DialContext: dial, MaxIdleConnsPerHost: 64}}}
}

func codeOf(name string) history.Code {
	switch name {
	case "NOT_FOUND":
		return history.NotFound
	case "EXISTS":
		return history.Exists
	case "CONFLICT":
		return history.Conflict
	case "COMPACTED":
		return history.Compacted
	case "FUTURE_REVISION":
		return history.Future
	case "NO_SPACE":
		return history.NoSpace
	}
	return history.Other
}

func (c *Client) call(ctx context.Context, request Request) (*Response, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://store/call", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	// net/http repeats a POST only when nothing of it was sent.
	answer, err := c.http.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	var response Response
	if err := json.NewDecoder(answer.Body).Decode(&response); err != nil {
		return nil, err
	}
	switch response.Code {
	case "":
		return &response, nil
	case unknown:
		return &response, fmt.Errorf("the outcome is unknown: %s", response.Message)
	}
	return &response, &target.Error{Code: codeOf(response.Code), Message: response.Code + ": " + response.Message}
}

func (c *Client) write(ctx context.Context, request Request) (int64, error) {
	if request.Value != "" {
		request.Value = target.Pad(request.Value, ValueSize)
	}
	response, err := c.call(ctx, request)
	if err != nil {
		return 0, err
	}
	return response.Rev, nil
}

// Create implements target.Client.
func (c *Client) Create(ctx context.Context, key, value string) (int64, error) {
	return c.write(ctx, Request{Verb: "create", Key: key, Value: value})
}

// Update implements target.Client.
func (c *Client) Update(ctx context.Context, key, value string, expected int64) (int64, error) {
	return c.write(ctx, Request{Verb: "update", Key: key, Value: value, Expected: expected})
}

// Delete implements target.Client.
func (c *Client) Delete(ctx context.Context, key string, expected int64) (int64, error) {
	return c.write(ctx, Request{Verb: "delete", Key: key, Expected: expected})
}

// Compact implements target.Client.
func (c *Client) Compact(ctx context.Context, rev int64) error {
	_, err := c.call(ctx, Request{Verb: "compact", At: rev})
	return err
}

func items(response *Response) []history.Item {
	var all []history.Item
	for _, item := range response.Items {
		all = append(all, history.Item{Key: item.Key, Value: target.Unpad(item.Value), Mod: item.Rev})
	}
	return all
}

// Get implements target.Client. The revision that a latest Get has is a minimum of
// what it saw, not a snapshot that is told to clients: the answer has none.
func (c *Client) Get(ctx context.Context, key string, at int64) ([]history.Item, int64, error) {
	response, err := c.call(ctx, Request{Verb: "get", Key: key, At: at})
	if response == nil {
		return nil, 0, err
	}
	return items(response), at, err
}

// List implements target.Client. The first page says at which revision.
func (c *Client) List(ctx context.Context, prefix string, o target.ListOptions) (target.Listing, error) {
	var all target.Listing
	request := Request{Verb: "list", Key: prefix, At: o.At, Min: o.Min, Limit: int64(o.Page)}
	for {
		response, err := c.call(ctx, request)
		if err != nil {
			return target.Listing{}, err
		}
		all.Add(items(response), response.Rev)
		if !response.More {
			return all, nil
		}
		request.At, request.Min = all.Rev, 0
		request.Start = all.Items[len(all.Items)-1].Key + "\x00"
	}
}

// Watch implements target.Client.
func (c *Client) Watch(ctx context.Context, prefix string, after int64) (target.Stream, error) {
	ctx, cancel := context.WithCancel(ctx)
	query := url.Values{"prefix": {prefix}, "after": {fmt.Sprint(after)}}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://store/watch?"+query.Encode(), nil)
	if err != nil {
		cancel()
		return nil, err
	}
	answer, err := c.http.Do(r)
	if err != nil {
		cancel()
		return nil, err
	}
	return &stream{body: answer.Body, decoder: json.NewDecoder(answer.Body), cancel: cancel}, nil
}

type stream struct {
	body    io.ReadCloser
	decoder *json.Decoder
	cancel  context.CancelFunc
}

// Next implements target.Stream.
func (s *stream) Next() (history.Event, error) {
	var item Item
	if err := s.decoder.Decode(&item); err != nil {
		return history.Event{}, err
	}
	if item.Kind == "end" {
		return history.Event{}, &target.Error{Code: codeOf(item.Code), Message: item.Code + ": " + item.Value}
	}
	event := history.Event{Kind: history.EventKind(item.Kind), Rev: item.Rev, Key: item.Key}
	if item.Kind != "progress" {
		event.Value = target.Unpad(item.Value)
	}
	return event, nil
}

// Close implements target.Stream.
func (s *stream) Close() {
	s.cancel()
	s.body.Close()
}
