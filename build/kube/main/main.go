// kube-apiserver with libstorage linked in: upstream's command, with the storage
// backend that go-shim/factory registers.
package main

import (
	"os"
	_ "time/tzdata" // for timeZone support in CronJob

	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"          // for JSON log format registration
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // load all the prometheus client-go plugins
	_ "k8s.io/component-base/metrics/prometheus/version"  // for version metric registration
	"k8s.io/kubernetes/cmd/kube-apiserver/app"

	_ "github.com/libstorage/go-shim/factory" // --storage-backend=libstorage
)

func main() {
	os.Exit(cli.Run(app.NewAPIServerCommand()))
}
