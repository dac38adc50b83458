package store

import (
	"context"
	"time"

	"github.com/libstorage/go-shim/kv"
)

// Rows of a page. The first is small: decoding starts sooner.
const (
	firstPage  = 500
	largePage  = 2000
	sparsePage = 64 // first page when a selector picks among the rows
	maxPage    = 10000
)

// page is one answer of the key-value store.
type page struct {
	result *kv.Result
	err    error
}

// scan reads a range page by page, all at one revision. While a page is decoded
// the next one is fetched, if it is sure to be needed.
func (l *list) scan(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var ahead chan page
	defer func() {
		cancel()
		if ahead != nil {
			p := <-ahead
			p.result.Release()
		}
	}()
	next := l.nextPage(request{}, 0)
	current := l.fetch(ctx, next)
	for {
		if current.err != nil {
			return l.s.listError(current.err, l.opts.Predicate.Continue != "", l.from, l.prefix, max(l.rev, l.minimum))
		}
		more, n := current.result.More, len(current.result.KVs)
		if err := l.begin(current.result); err != nil {
			return err
		}
		next = l.nextPage(next, n)
		if more && next.rows > 0 && l.sure() {
			ahead = make(chan page, 1)
			go l.fetchAhead(ctx, next, ahead)
		}
		err := l.take(ctx, current.result)
		if err != nil || l.full() || !more {
			return err
		}
		if ahead == nil {
			current = l.fetch(ctx, next)
		} else {
			current, ahead = <-ahead, nil
		}
	}
}

// begin notes what a page says about the list, before its rows are looked at.
func (l *list) begin(result *kv.Result) error {
	err := atLeast(l.minimum, result.Revision)
	if err != nil {
		result.Release()
		return err
	}
	if l.rev == 0 {
		l.rev = result.Revision
	}
	l.pages++
	l.remaining = result.Remaining
	if l.remaining < 0 && l.rest >= 0 {
		l.remaining = l.rest - int64(len(result.KVs))
	}
	l.rest = l.remaining
	if n := len(result.KVs); n > 0 {
		l.from = string(result.KVs[n-1].Key) + "\x00"
	}
	return nil
}

// request is a page to ask for.
type request struct {
	rows  int64
	count bool // count the rows after it
}

// nextPage is the page to ask for after last, which had got rows that are not
// items yet. A page of no rows is none.
func (l *list) nextPage(last request, got int) request {
	limit := l.opts.Predicate.Limit
	first := last.rows == 0
	if limit > 0 && !l.empty {
		// How many rows hold limit matches is not known: ask for ever more.
		if first {
			return request{rows: min(max(limit, sparsePage), maxPage)}
		}
		return request{rows: min(2*last.rows, maxPage)}
	}
	next := request{rows: largePage}
	if first {
		next = request{rows: firstPage, count: l.empty && l.rest < 0} // to allocate once
	}
	if limit > 0 {
		left := limit - int64(l.items.Len()+got)
		next.rows = min(next.rows, left)
		next.count = next.count || l.rest < 0 && next.rows == left // for remainingItemCount
	}
	return next
}

// sure tells, before a page is looked at, that the next one will be needed.
// With a limit and a selector that is so only when matches were rare so far.
func (l *list) sure() bool {
	return l.opts.Predicate.Limit == 0 || l.empty || l.pages > 1
}

// full tells that the limit is reached.
func (l *list) full() bool {
	return l.opts.Predicate.Limit > 0 && int64(l.items.Len()) >= l.opts.Predicate.Limit
}

// fetch reads the page that begins at l.from.
func (l *list) fetch(ctx context.Context, r request) page {
	read := kv.ReadOptions{Revision: l.minimum, Limit: r.rows, WantRemaining: r.count}
	if l.rev > 0 {
		read.Revision, read.Exact = l.rev, true
	}
	start := time.Now()
	result, err := l.s.kv.List(ctx, l.s.id, l.from, l.end, read)
	l.s.observe(ctx, "list", err, start)
	return page{result, err}
}

// fetchAhead reads nothing that take writes, so both may run at once.
func (l *list) fetchAhead(ctx context.Context, r request, to chan<- page) { to <- l.fetch(ctx, r) }
