package factory

import (
	"fmt"
	"os"
	"strings"

	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/klog/v2"

	"github.com/libstorage/go-shim/native"
)

// validate checks the configuration of every server that links this package,
// whatever its storage. Each message says what to write instead.
func validate(c storagebackend.Config, overrides []string) []error {
	if c.Type != StorageType {
		return validateOther(c)
	}
	var errs []error
	if servers := c.Transport.ServerList; len(servers) > 0 && !strings.HasPrefix(servers[0], multi) {
		errs = append(errs, fmt.Errorf("--etcd-servers=%s: with --storage-backend=%s write the default database as %s%s, or leave the flag out for an embedded SQLite file",
			redact(strings.Join(servers, ",")), StorageType, multi, redact(strings.Join(servers, ","))))
	}
	if len(overrides) > 0 {
		errs = append(errs, fmt.Errorf("--etcd-servers-overrides=%s: with --storage-backend=%s a rule of the topology file (--topology-config) says where the objects of a resource go",
			redact(strings.Join(overrides, ",")), StorageType))
	}
	s, err := settingsOf(&c)
	if err != nil {
		return append(errs, err)
	}
	if len(errs) == 0 {
		warn(c, s)
	}
	return errs
}

// warnTLS names settings for which there is no connection, or none that is encrypted.
func warnTLS(s settings) {
	files := func(tls native.TLS) bool { return tls.CAFile != "" || tls.CertFile != "" || tls.KeyFile != "" }
	if files(s.defaultTLS) && neverTLS(s.endpoint) {
		klog.Warning("--etcd-certfile, --etcd-keyfile and --etcd-cafile have no effect on this default database: it has no TLS. For a rule of the topology file write backendTLS there")
	}
	metadata := firstOf(s.metadata, s.endpoint)
	if files(s.metadataTLS) && neverTLS(metadata) {
		klog.Warning("--metadata-store-certfile, --metadata-store-keyfile and --metadata-store-cafile have no effect on this metadata store: it has no TLS")
	}
	if s.metadataTLS.SkipVerify && neverTLS(metadata) {
		klog.InfoS(envSkipVerify + " has no effect on this metadata store: it has no TLS")
	}
}

// neverTLS tells embedded databases, and http://. What an endpoint file holds is
// not known here.
func neverTLS(endpoint string) bool {
	scheme, _, _ := strings.Cut(strings.TrimPrefix(endpoint, multi), "://")
	return scheme == "" || scheme == "sqlite" || scheme == "http"
}

// validateOther refuses what has a meaning with our storage only.
func validateOther(c storagebackend.Config) []error {
	var errs []error
	for _, server := range c.Transport.ServerList {
		if strings.HasPrefix(server, multi) {
			errs = append(errs, fmt.Errorf("--etcd-servers=%s: add --storage-backend=%s, which serves %s endpoints",
				redact(strings.Join(c.Transport.ServerList, ",")), StorageType, multi))
			break
		}
	}
	o, ok := c.BackendOptions.(*Options)
	if !ok {
		return errs
	}
	for _, flag := range []struct {
		name string
		set  bool
	}{
		{"topology-config", o.TopologyConfig != ""}, {"metadata-store", o.MetadataStore != ""},
		{"metadata-store-cafile", o.MetadataTLS.CAFile != ""}, {"metadata-store-certfile", o.MetadataTLS.CertFile != ""},
		{"metadata-store-keyfile", o.MetadataTLS.KeyFile != ""},
		{"slow-sql-threshold", o.SlowSQLThreshold != 0}, {"storage-restored", o.Restored},
	} {
		if flag.set {
			errs = append(errs, fmt.Errorf("--%s needs --storage-backend=%s", flag.name, StorageType))
		}
	}
	return errs
}

// warn logs, at start, what is accepted but not what it may look like.
func warn(c storagebackend.Config, s settings) {
	if c.CompactionInterval != storagebackend.DefaultCompactInterval {
		klog.InfoS("--etcd-compaction-interval has no effect: "+envHistory+" says how long history is kept, and compactInterval in the topology file how often it is compacted",
			"value", c.CompactionInterval)
	}
	if hasPassword(s.endpoint) && len(c.Transport.ServerList) > 0 {
		klog.Warning("--etcd-servers holds a password, which every user of this machine can see: put the endpoint into a file of mode 0600 and write multi://file:///path")
	}
	if o, ok := c.BackendOptions.(*Options); ok && hasPassword(o.MetadataStore) {
		klog.Warning("--metadata-store holds a password, which every user of this machine can see: set " + envMetadata + " instead")
	}
	warnTLS(s)
	if os.Getenv(envCapacity) != "" {
		klog.InfoS(envCapacity + " has no effect on a metadata store in SQLite")
	}
	if s.restored {
		klog.Warning("The databases are declared to come from a backup: resource versions start anew. Take --storage-restored or " + envRestored + " away before the next start")
	}
}
