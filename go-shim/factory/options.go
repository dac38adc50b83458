package factory

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/klog/v2"

	"github.com/libstorage/go-shim/native"
)

// Options are the values of our flags, kept in storagebackend.Config.BackendOptions.
type Options struct {
	TopologyConfig   string
	MetadataStore    string
	MetadataTLS      native.TLS
	SlowSQLThreshold time.Duration
	Restored         bool

	servers []string // --etcd-servers as written
}

// The environment variables that HariKube's users set, and our own two.
const (
	envTopology   = "TOPOLOGY_CONFIG"
	envMetadata   = "REVISION_MAPPER_ENDPOINT"
	envHistory    = "REVISION_MAPPER_HISTORY"
	envCapacity   = "REVISION_MAPPER_CACHE_CAPACITY"
	envSkipVerify = "REVISION_MAPPER_SKIP_VERIFY"
	envRestored   = "STORAGE_RESTORED"
)

const defaultHistory = 4 * time.Hour

// addFlags is called twice: its defaults are the values it has set before.
func addFlags(fs *pflag.FlagSet, c *storagebackend.Config) {
	o, ok := c.BackendOptions.(*Options)
	if !ok {
		o = &Options{}
		c.BackendOptions = o
	}
	fs.StringVar(&o.TopologyConfig, "topology-config", o.TopologyConfig,
		"The file that says which database holds which objects (--storage-backend=libstorage). Wins over "+envTopology+".")
	hidePasswords(fs, o)
	fs.Var(endpointValue{&o.MetadataStore}, "metadata-store",
		"The endpoint of the metadata store (--storage-backend=libstorage). Default: a SQLite file beside the default database. Wins over "+envMetadata+".")
	for _, file := range []struct {
		name, what string
		to         *string
	}{
		{"cafile", "CAs that the certificate of the metadata store's server is verified with", &o.MetadataTLS.CAFile},
		{"certfile", "certificate that this server shows to the metadata store", &o.MetadataTLS.CertFile},
		{"keyfile", "key of --metadata-store-certfile", &o.MetadataTLS.KeyFile},
	} {
		fs.StringVar(file.to, "metadata-store-"+file.name, *file.to,
			"PEM file: "+file.what+" (--storage-backend=libstorage). Default: those of the default database, --etcd-"+file.name+", when the metadata store is part of it.")
	}
	fs.DurationVar(&o.SlowSQLThreshold, "slow-sql-threshold", o.SlowSQLThreshold,
		"Log database calls that take longer (--storage-backend=libstorage). 0 logs none.")
	fs.BoolVar(&o.Restored, "storage-restored", o.Restored,
		"Declare that the databases come from a backup: resource versions start anew and clients list again (--storage-backend=libstorage). For one start only.")
}

// settings is all that decides which databases are opened, and how. Storages
// with equal settings share one engine.
type settings struct {
	topology, endpoint, metadata string
	defaultTLS, metadataTLS      native.TLS
	history                      time.Duration
	slowSQL                      time.Duration
	restored                     bool
}

// settingsOf reads flags and environment; a flag wins.
func settingsOf(c *storagebackend.Config) (settings, error) {
	o, ok := c.BackendOptions.(*Options)
	if !ok { // nobody parsed flags: tests, sample servers
		o = &Options{}
	}
	s := settings{
		topology: firstOf(o.TopologyConfig, os.Getenv(envTopology)),
		metadata: firstOf(o.MetadataStore, os.Getenv(envMetadata)),
		endpoint: endpointOf(serversOf(o, c.Transport.ServerList)),
		defaultTLS: native.TLS{CAFile: c.Transport.TrustedCAFile, CertFile: c.Transport.CertFile,
			KeyFile: c.Transport.KeyFile},
		metadataTLS: o.MetadataTLS,
		history:     defaultHistory, slowSQL: o.SlowSQLThreshold, restored: o.Restored,
	}
	if text := os.Getenv(envHistory); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil || d < 0 {
			return s, fmt.Errorf("%s=%q: write a duration such as 4h, or 0 to keep everything", envHistory, text)
		}
		s.history = d
	}
	if text := os.Getenv(envCapacity); text != "" {
		if n, err := strconv.ParseInt(text, 10, 64); err != nil || n < 1 {
			return s, fmt.Errorf("%s=%q: write the number of entries, for example 10000", envCapacity, text)
		}
	}
	if err := parseBool(envSkipVerify, &s.metadataTLS.SkipVerify); err != nil {
		return s, err
	}
	if !o.Restored {
		return s, parseBool(envRestored, &s.restored)
	}
	return s, nil
}

func parseBool(name string, to *bool) error {
	text := os.Getenv(name)
	if text == "" {
		return nil
	}
	b, err := strconv.ParseBool(text)
	if err != nil {
		return fmt.Errorf("%s=%q: write true or false", name, text)
	}
	*to = b
	return nil
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

const multi = "multi://"

// endpointOf is the default database: --etcd-servers splits at commas, which an
// endpoint of several members has. multi:// stays: only with it does the library
// read an endpoint from a file.
func endpointOf(servers []string) string { return strings.Join(servers, ",") }

// native makes the engine's options of the settings.
func (s settings) native() native.Options {
	history := s.history.Milliseconds()
	if history == 0 {
		history = -1 // there, 0 is the default and negative never compacts
	}
	return native.Options{
		TopologyPath:     s.topology,
		DefaultEndpoint:  s.endpoint,
		MetadataEndpoint: s.metadata,
		DefaultTLS:       s.defaultTLS,
		MetadataTLS:      s.metadataTLS,
		HistoryMillis:    history,
		SlowSQLMillis:    s.slowSQL.Milliseconds(),
		Restored:         s.restored,
		Log:              logMessage,
	}
}

// logMessage takes the library's messages into the server's log.
func logMessage(level native.LogLevel, message string) {
	switch level {
	case native.LogError:
		klog.ErrorS(nil, message)
	case native.LogWarning:
		klog.Warning(message)
	default:
		klog.InfoS(message)
	}
}
