package store

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	endpointsrequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/storage"

	"github.com/libstorage/go-shim/kv"
)

// take makes items of the rows of a page, in order, until the limit is reached.
// It owns the page.
func (l *list) take(ctx context.Context, result *kv.Result) error {
	defer result.Release()
	start := time.Now()
	defer func() { endpointsrequest.TrackDecodeLatency(ctx, time.Since(start)) }()
	l.fetched += len(result.KVs)
	l.more = result.More
	if len(result.KVs) == 0 {
		return nil
	}
	if l.empty {
		return l.takeAll(ctx, result)
	}
	return l.takeMatches(ctx, result)
}

// takeAll decodes every row straight into its place in the slice of items.
func (l *list) takeAll(ctx context.Context, result *kv.Result) error {
	rows := result.KVs
	base := l.items.Len()
	l.grow(len(rows))
	errs := make([]error, len(rows))
	l.evaluated += each(len(rows), func(i int) bool {
		slot := l.items.Index(base + i)
		if l.preset {
			slot.Set(reflect.ValueOf(l.newItem()).Elem())
		}
		into := slot.Addr().Interface().(runtime.Object)
		obj, err := l.item(ctx, &rows[i], into)
		if err == nil && obj != into {
			slot.Set(reflect.ValueOf(obj).Elem())
		}
		errs[i] = err
		return err == nil || l.s.unsafeDelete
	})
	l.lastKey = string(rows[len(rows)-1].Key)
	for i, err := range errs {
		if err != nil && !l.bad.add(string(rows[i].Key), err) {
			return err
		}
	}
	return nil
}

// waveRows is how many rows are decoded before the selector sees them.
const waveRows = 2 * maxWorkers * chunkRows

// takeMatches decodes rows and keeps those that the selector picks. The selector
// is the caller's code: it sees the rows in order, on the caller's goroutine.
func (l *list) takeMatches(ctx context.Context, result *kv.Result) error {
	var objs [waveRows]runtime.Object
	var errs [waveRows]error
	for rows := result.KVs; len(rows) > 0; {
		wave := rows[:min(waveRows, len(rows))]
		rows = rows[len(wave):]
		done := each(len(wave), func(i int) bool {
			objs[i], errs[i] = l.item(ctx, &wave[i], l.newItem())
			return errs[i] == nil || l.s.unsafeDelete
		})
		for i := range done {
			l.lastKey = string(wave[i].Key)
			if err := errs[i]; err != nil {
				if !l.bad.add(l.lastKey, err) {
					return err
				}
				continue
			}
			l.evaluated++
			// A row that the selector cannot judge is not an item, and no error either.
			if ok, err := l.opts.Predicate.Matches(objs[i]); err != nil || !ok {
				continue
			}
			l.items.Set(reflect.Append(l.items, reflect.ValueOf(objs[i]).Elem()))
			if l.full() {
				l.more = l.more || i < len(wave)-1 || len(rows) > 0
				return nil
			}
		}
	}
	return nil
}

// item decodes one row into an empty object.
func (l *list) item(ctx context.Context, row *kv.KV, into runtime.Object) (runtime.Object, error) {
	key := string(row.Key)
	data, _, err := l.s.fromStorage(ctx, row.Value, key)
	if err != nil {
		return nil, storage.NewInternalError(fmt.Errorf("unable to transform key %q: %w", key, err))
	}
	if ctx.Err() != nil {
		return nil, storage.NewTimeoutError(key, "request did not complete within requested timeout")
	}
	return l.s.decode(data, into, row.ModRevision, key)
}

// grow makes room for n more items and counts them as there.
func (l *list) grow(n int) {
	need := l.items.Len() + n
	if need > l.items.Cap() {
		size := max(need, 2*l.items.Cap())
		if l.remaining >= 0 { // how many rows there are is known: allocate once
			size = need + int(l.remaining)
		}
		if limit := int(l.opts.Predicate.Limit); limit > 0 {
			size = max(need, min(size, limit))
		}
		items := reflect.MakeSlice(l.items.Type(), l.items.Len(), size)
		reflect.Copy(items, l.items)
		l.items.Set(items)
	}
	l.items.SetLen(need)
}
