// Package kubetarget makes a kube-apiserver a target of the crash harness: keys are
// config maps, "namespace/name".
package kubetarget

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/libstorage/tests/crash/apiserver"
	"github.com/libstorage/tests/crash/process"
	"github.com/libstorage/tests/crash/target"
	"github.com/libstorage/tests/history"
)

// Target is a kube-apiserver and the namespaces that hold the keys.
type Target struct {
	server     *apiserver.Server
	namespaces map[string]bool
	metadata   string // pattern of the metadata store's files
	client     *Client
}

var _ target.Target = (*Target)(nil)

// New makes a target. metadata is a pattern of the files of the metadata store;
// prefixes are the namespaces with a slash.
func New(server *apiserver.Server, metadata string, prefixes []string) (*Target, error) {
	config := server.Config()
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return noRetry{next} })
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	t := &Target{server: server, metadata: metadata, namespaces: map[string]bool{}}
	for _, prefix := range prefixes {
		t.namespaces[strings.TrimSuffix(prefix, "/")] = true
	}
	t.client = &Client{clients.CoreV1(), t.namespaces}
	return t, nil
}

// noRetry hides what makes client-go send a write again by itself: whether the
// first one was applied is what the harness wants to know.
type noRetry struct{ next http.RoundTripper }

func (n noRetry) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := n.next.RoundTrip(r)
	if err == nil && r.Method != http.MethodGet {
		answer.Header.Del("Retry-After")
	}
	return answer, err
}

// Start implements target.Target.
func (t *Target) Start(ctx context.Context) (*process.Process, error) {
	p, err := t.server.Start(ctx)
	if err != nil {
		return p, err
	}
	for name := range t.namespaces {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		_, err := t.client.core.Namespaces().Create(ctx, namespace, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return p, errors.Join(fmt.Errorf("namespace %s: %w", name, err), p.Kill())
		}
	}
	return p, nil
}

// Env adds to the environment of the server.
func (t *Target) Env(variables ...string) { t.server.Env = append(t.server.Env, variables...) }

// Client implements target.Target.
func (t *Target) Client() target.Client { return t.client }

// LoseMetadata implements target.Target. The loss itself survives a power cut.
func (t *Target) LoseMetadata() error {
	files, err := filepath.Glob(t.metadata)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("no metadata store at %s", t.metadata)
	}
	for _, file := range files {
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	dir, err := os.Open(filepath.Dir(files[0]))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// asAnswer makes the answers that are definite into target errors. A time-out, an
// internal error or a lost connection says nothing about a write.
func asAnswer(err error) error {
	var status apierrors.APIStatus
	if err == nil || !errors.As(err, &status) {
		return err
	}
	code := history.Other
	switch {
	case apierrors.IsNotFound(err):
		code = history.NotFound
	case apierrors.IsAlreadyExists(err):
		code = history.Exists
	case apierrors.IsConflict(err):
		code = history.Conflict
	case apierrors.IsResourceExpired(err), apierrors.IsGone(err):
		code = history.Compacted
	case apierrors.HasStatusCause(err, metav1.CauseTypeResourceVersionTooLarge):
		code = history.Future
	case status.Status().Code == http.StatusInsufficientStorage:
		code = history.NoSpace
	case apierrors.IsTooManyRequests(err), apierrors.IsInvalid(err), apierrors.IsForbidden(err):
	default:
		return err
	}
	return &target.Error{Code: code, Message: err.Error()}
}

// revision of an object or list; 0 for none.
func revision(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
