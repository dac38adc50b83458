package store

import "sync"

// keepRests is how many pages that are to come are remembered.
const keepRests = 256

// place is where a page of a list begins. At one revision the rows from there on
// are always the same.
type place struct {
	prefix, from string
	rev          int64
}

// rests remembers how many rows there are from the beginnings of next pages on, so
// that only the first page of a list counts them. The oldest is forgotten first.
type rests struct {
	mu     sync.Mutex
	rows   map[place]int64
	places []place // keepRests of them once a list was read in pages: most never are
	next   int     // in places
}

// find returns the number of rows from a place on, -1 if it is not known.
func (r *rests) find(p place) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if rows, ok := r.rows[p]; ok {
		return rows
	}
	return -1
}

func (r *rests) keep(p place, rows int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.rows[p]; ok {
		return
	}
	if r.rows == nil {
		r.rows, r.places = map[place]int64{}, make([]place, keepRests)
	}
	delete(r.rows, r.places[r.next])
	r.rows[p], r.places[r.next] = rows, p
	r.next = (r.next + 1) % keepRests
}
