package e2e

// Storage is what is under test below kube-apiserver.
type Storage interface {
	// APIServer is the binary that speaks to it.
	APIServer(out string) string
	// Start makes it ready in dir before the API server starts.
	Start(dir string) error
	Flags() []string
	Env() []string
	Stop() error
	// CompactTo drops history up to a revision, at once. false: it cannot be asked
	// to; the API server is then restarted with ShortHistory in its environment.
	CompactTo(revision int64) (bool, error)
	ShortHistory() []string
	// Backup copies all objects while the API server runs; false: this storage has
	// no tool for it. Restore puts the copy in the place of everything while the API
	// server does not run; the flags are for its next start.
	Backup(dir string) (bool, error)
	Restore(dir string) (flags []string, err error)
	// Checks names the health checks of side backends, and those that readyz needs.
	Checks() (sides, central []string)
	OneServer() bool   // a second API server must be refused
	Metrics() []string // beginnings of lines that a scrape must show
	// Keys of all objects, by database; the API server has been stopped.
	Keys() (map[string][]string, error)
	// Database names where the first matching rule sends a key.
	Database(k Key) string
	DataDirs() []string                  // hold every byte that is stored
	Values(key string) ([]string, error) // stored under a key, in all databases; stopped too
}

// Key is an object's place, with what the API knows of its resource.
type Key struct {
	Path      string // without the storage root: "services/specs/default/x"
	Resource  string // "services/specs", "stable.example.com/shirts"
	Namespace string // "" for cluster-scoped objects
	Custom    bool
}
