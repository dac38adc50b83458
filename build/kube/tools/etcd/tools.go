//go:build tools

// Package tools pins etcd, which tests and benchmarks compare with.
package tools

import _ "go.etcd.io/etcd/server/v3"
