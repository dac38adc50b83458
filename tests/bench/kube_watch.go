package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

const (
	kubeWatchRate   = 200
	kubeWatchWrites = 20 * kubeWatchRate
)

// runKubeWatch: clients that drop the bytes but for the name in each line, and
// writers at a given rate. Each client has a connection of its own.
func (c *child) runKubeWatch() error {
	rv, err := c.kube.revision()
	if err != nil {
		return err
	}
	n := scaled(kubeWatchWrites)
	d := newDelivery(n)
	for range watchers {
		client := newHTTPClient()
		body, err := c.kube.watch(client, rv)
		if err != nil {
			return err
		}
		d.watch(func(got []int64) error { return c.kube.follow(client, body, rv, d, got) })
	}
	create := c.kube.creates("watched", n)
	return c.accountDelivery("kube-watch", d, 16, kubeWatchRate, create)
}

func (k *kube) revision() (string, error) {
	r, err := k.request(http.MethodGet, widgets+"?limit=1", nil)
	if err != nil {
		return "", err
	}
	answer, err := k.client.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	var list struct {
		Metadata struct{ ResourceVersion string }
	}
	err = json.NewDecoder(answer.Body).Decode(&list)
	return list.Metadata.ResourceVersion, err
}

func (k *kube) watch(client *http.Client, rv string) (io.ReadCloser, error) {
	r, err := k.request(http.MethodGet, widgets+"?watch=true&resourceVersion="+rv, nil)
	if err != nil {
		return nil, err
	}
	answer, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		answer.Body.Close()
		return nil, fmt.Errorf("watch: %s", answer.Status)
	}
	return answer.Body, nil
}

// follow takes every write once. A watch that the server ends is resumed where it
// was, as client-go does: a watch cache drops clients that are slow.
func (k *kube) follow(client *http.Client, body io.ReadCloser, last string, d *delivery, got []int64) error {
	for n := 0; ; {
		more, err := d.readLines(body, got, len(got)-n, &last)
		n += more
		body.Close()
		if n == len(got) || err != io.EOF {
			return err
		}
		d.resumed.Add(1)
		if body, err = k.watch(client, last); err != nil {
			return err
		}
	}
}

var (
	nameMark     = []byte(`"name":"watched-`)
	revisionMark = []byte(`"resourceVersion":"`)
)

// after is what stands between a mark and the next quote.
func after(line, mark []byte) string {
	at := bytes.Index(line, mark)
	if at < 0 {
		return ""
	}
	rest := line[at+len(mark):]
	return string(rest[:max(0, bytes.IndexByte(rest, '"'))])
}

// readLines takes up to most writes and returns how many, and the revision of the
// last one.
func (d *delivery) readLines(body io.Reader, got []int64, most int, last *string) (int, error) {
	reader := bufio.NewReaderSize(body, 64<<10)
	for n := range most {
		line, err := reader.ReadSlice('\n')
		if err != nil {
			return n, err
		}
		now := int64(time.Since(d.begin))
		i, err := strconv.Atoi(after(line, nameMark))
		if err != nil || got[i] != 0 {
			return n, fmt.Errorf("a watch got %.200s", line)
		}
		got[i] = now
		*last = after(line, revisionMark)
	}
	return most, nil
}
