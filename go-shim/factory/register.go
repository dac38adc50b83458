// Package factory makes libstorage the storage of a kube-apiserver that links
// it: importing it registers --storage-backend=libstorage, its flags and its
// health checks with the hook of the patch (docs/patch.md).
package factory

import (
	"k8s.io/apiserver/pkg/storage/storagebackend"
)

// StorageType is the value of --storage-backend.
const StorageType = "libstorage"

// Backend is what is registered. A test binary may register it under the types
// of upstream too: then upstream's own tests run on it.
var Backend = &storagebackend.Backend{
	Create:      create,
	HealthCheck: healthCheck,
	ReadyCheck:  readyCheck,
	Prober:      newProber,
	Monitor:     newMonitor,
	NamedChecks: namedChecks,
	AddFlags:    addFlags,
	Validate:    validate,
}

func init() { storagebackend.RegisterBackend(StorageType, Backend) }
