// Package apiserver runs a kube-apiserver, with an administrator's token and
// certificates of its own, for tests and measurements.
package apiserver

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/rest"

	"github.com/libstorage/tests/crash/process"
)

// Token of an administrator.
const Token = "test-admin-token"

// Server is a kube-apiserver, running or not.
type Server struct {
	Binary string
	Dir    string   // keys, certificates and log
	Work   string   // working directory; "" is Dir
	Flags  []string // of the storage, and others
	Env    []string

	port int
	http *http.Client
}

// New prepares a server; Start runs it, again and again on the same port.
func New(s Server) (*Server, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	block := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	files := map[string][]byte{"sa.key": pem.EncodeToMemory(block), "tokens.csv": []byte(Token + ",admin,1,system:masters\n")}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(s.Dir, name), data, 0o600); err != nil {
			return nil, err
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	s.port = listener.Addr().(*net.TCPAddr).Port
	if s.Work == "" {
		s.Work = s.Dir
	}
	s.http = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	return &s, nil
}

// Host is its URL.
func (s *Server) Host() string { return fmt.Sprintf("https://127.0.0.1:%d", s.port) }

// Config for client-go, without a limit of its own.
func (s *Server) Config() *rest.Config {
	return &rest.Config{Host: s.Host(), BearerToken: Token, TLSClientConfig: rest.TLSClientConfig{Insecure: true}, QPS: -1}
}

func (s *Server) args() []string {
	key := filepath.Join(s.Dir, "sa.key")
	return append([]string{
		fmt.Sprintf("--secure-port=%d", s.port), "--bind-address=127.0.0.1", "--advertise-address=192.0.2.1",
		"--cert-dir=" + filepath.Join(s.Dir, "certs"), "--token-auth-file=" + filepath.Join(s.Dir, "tokens.csv"),
		"--authorization-mode=RBAC", "--service-cluster-ip-range=10.96.0.0/16",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + key, "--service-account-signing-key-file=" + key,
		"--shutdown-delay-duration=0s", "--shutdown-watch-termination-grace-period=1s",
	}, s.Flags...)
}

// Start returns when readyz is ok. With an error comes the process if there is one;
// when ctx ends it is killed.
func (s *Server) Start(ctx context.Context) (*process.Process, error) {
	p, err := process.Start(process.Spec{
		Name: "kube-apiserver", Dir: s.Work, Log: s.Dir, Env: s.Env, Path: s.Binary, Args: s.args(),
	})
	if err != nil {
		return nil, err
	}
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	var last error
	for {
		if last = s.ready(ctx); last == nil {
			return p, nil
		}
		select {
		case <-ticker.C:
		case <-p.Ended():
			return p, p.Failure()
		case <-ctx.Done():
			_ = p.Kill()
			return p, fmt.Errorf("kube-apiserver is not ready: %w\n%s", last, p.Tail(20))
		}
	}
}

func (s *Server) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Host()+"/readyz", nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+Token)
	answer, err := s.http.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	return fmt.Errorf("readyz: %s", text)
}
