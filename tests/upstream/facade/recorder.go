package facade

import (
	"slices"
	"strings"
	"sync"

	"github.com/libstorage/go-shim/kv"
)

// recorder remembers what was registered: a write of the facade must be of the
// resource that its key belongs to, or watches of that resource would not see it.
type recorder struct {
	kv.Store
	mu    sync.Mutex
	known []kv.Resource
}

// Record makes a store fit for Databases.Open.
func Record(s kv.Store) kv.Store { return &recorder{Store: s} }

// Register implements kv.Store.
func (r *recorder) Register(resource kv.Resource) (kv.ResourceID, error) {
	id, err := r.Store.Register(resource)
	if err == nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		if !slices.Contains(r.known, resource) {
			r.known = append(r.known, resource)
		}
	}
	return id, err
}

// of is the registered resource of a key, the one with the longest prefix.
func (r *recorder) of(key string) (best kv.Resource, found bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, one := range r.known {
		if strings.HasPrefix(key, one.KeyPrefix) && len(one.KeyPrefix) > len(best.KeyPrefix) {
			best, found = one, true
		}
	}
	return best, found
}
