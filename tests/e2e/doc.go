// Package e2e runs a day in the life of a cluster against real binaries: the
// patched kube-apiserver over libstorage, or the stock one over etcd to show
// that the script itself is right.
//
//	E2E_STORAGE   libstorage (default: SQLite), servers (etcd, MariaDB, PostgreSQL
//	              and SQLite at once) or etcd (stock)
//	E2E_VARIANTS  names of variant.go, or all; the default follows TEST_CLASS
//	KUBE_OUT      where build/kube/build.sh put the binaries
//	E2E_DIR       where logs and data go (default out/e2e)
//
// Nothing here sleeps: every wait is a condition with a time limit that says
// what it waited for.
package e2e
