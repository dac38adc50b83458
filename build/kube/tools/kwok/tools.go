//go:build tools

// Package tools pins kwok, which keeps the nodes of tests ready.
package tools

import _ "sigs.k8s.io/kwok/cmd/kwok"
