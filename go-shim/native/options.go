package native

import "errors"

// LogLevel of a message of the library.
type LogLevel uint32

// Levels, the numbers of libstorage.h.
const (
	LogInfo    LogLevel = 0
	LogWarning LogLevel = 1
	LogError   LogLevel = 2
)

// TLS says how a server is reached. Paths of PEM files; "" none.
type TLS struct {
	CAFile, CertFile, KeyFile string
	SkipVerify                bool // the server's certificate is not verified
}

// Options of Open; zero values are defaults unless said otherwise.
type Options struct {
	TopologyPath     string // path or file://; "" no rules
	TopologyText     string // wins over the path; for tests
	DefaultEndpoint  string // "" sqlite://./libstorage.db
	MetadataEndpoint string // "" SQLite file beside the default database

	DefaultTLS  TLS // of the default database, and of a metadata store that is part of it
	MetadataTLS TLS // of the metadata store; SkipVerify alone asks for no TLS there

	HistoryMillis     int64 // 0: 4 hours, negative: never compact
	HistoryBytes      int64 // per backend; 0: 2 GiB
	MaxValueBytes     int64 // 0: 1.5 MiB
	SlowSQLMillis     int64 // 0: off
	BufferBudgetBytes int64 // cap on memory of results; 0: 256 MiB
	RingBytes         int64 // recent events in memory, per backend; 0: default

	Restored    bool // files come from a backup: start a new epoch
	AllowMemory bool // memory://name endpoints; for tests
	Poison      bool // overwrite the memory of released results; for tests

	// Log receives the library's messages, one at a time, on a goroutine of its
	// own; nil drops them. It may block: messages then get lost, calls do not wait.
	Log func(level LogLevel, message string)
}

// ErrNoCgo is what Open returns from a binary that was built without cgo.
var ErrNoCgo = errors.New("storage: this binary was built without cgo: libstorage is not available; " +
	"build with CGO_ENABLED=1 and libstorage installed")
