//go:build tools

// Package tools pins etcdutl, which makes etcds of a given revision for tests.
package tools

import _ "go.etcd.io/etcd/etcdutl/v3"
