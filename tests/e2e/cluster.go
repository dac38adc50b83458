package e2e

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

const adminToken = "e2e-admin-token"

// EventTTL is short so that an event is seen to expire.
const EventTTL = 15 * time.Second

// Cluster is a control plane in a directory of its own.
type Cluster struct {
	Dir     string
	Out     string // binaries
	Tools   string
	Variant Variant
	Storage Storage

	name       string // of the API server's process
	port       int
	api        *Process
	controller *Process
	scheduler  *Process
	kwok       *Process

	Config  *rest.Config
	Client  kubernetes.Interface
	Dynamic dynamic.Interface
}

// NewCluster writes keys and configuration into dir.
func NewCluster(dir, out, tools string, variant Variant, storage Storage) (*Cluster, error) {
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	c := &Cluster{Dir: dir, Out: out, Tools: tools, Variant: variant, Storage: storage, name: "kube-apiserver", port: ports[0]}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	files := map[string]string{
		"sa.key":          string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})),
		"tokens.csv":      adminToken + ",admin,1,system:masters\n",
		"encryption.yaml": encryptionConfig(variant.Encryption, "first"),
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	if err := c.connect(); err != nil {
		return nil, err
	}
	return c, c.writeKubeconfig()
}

// Sibling is another API server of the same cluster, on a port of its own.
func (c *Cluster) Sibling(name string) (*Cluster, error) {
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	sibling := &Cluster{Dir: c.Dir, Out: c.Out, Tools: c.Tools, Variant: c.Variant, Storage: c.Storage, name: name, port: ports[0]}
	return sibling, sibling.connect()
}

func (c *Cluster) connect() (err error) {
	c.Config = &rest.Config{Host: fmt.Sprintf("https://127.0.0.1:%d", c.port), BearerToken: adminToken,
		TLSClientConfig: rest.TLSClientConfig{Insecure: true}, QPS: 1000, Burst: 2000}
	if c.Client, err = kubernetes.NewForConfig(c.Config); err != nil {
		return err
	}
	c.Dynamic, err = dynamic.NewForConfig(c.Config)
	return err
}

func encryptionConfig(provider, name string) string {
	if provider == "" {
		return ""
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret)
	return fmt.Sprintf(`apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [secrets]
  providers:
  - %s: {keys: [{name: %s, secret: %s}]}
  - identity: {}
`, provider, name, base64.StdEncoding.EncodeToString(secret))
}

// Kubeconfig is the file that kubectl and the other components use.
func (c *Cluster) Kubeconfig() string { return filepath.Join(c.Dir, "kubeconfig") }

func (c *Cluster) writeKubeconfig() error {
	config := clientcmdapi.NewConfig()
	config.Clusters["e2e"] = &clientcmdapi.Cluster{Server: c.Config.Host, InsecureSkipTLSVerify: true}
	config.AuthInfos["admin"] = &clientcmdapi.AuthInfo{Token: adminToken}
	config.Contexts["e2e"] = &clientcmdapi.Context{Cluster: "e2e", AuthInfo: "admin"}
	config.CurrentContext = "e2e"
	return clientcmd.WriteToFile(*config, c.Kubeconfig())
}

func (c *Cluster) apiFlags(port int, certs string) []string {
	flags := []string{
		fmt.Sprintf("--secure-port=%d", port), "--bind-address=127.0.0.1", "--advertise-address=192.0.2.1",
		"--cert-dir=" + certs, "--token-auth-file=" + filepath.Join(c.Dir, "tokens.csv"),
		"--authorization-mode=Node,RBAC", "--service-cluster-ip-range=10.96.0.0/16", "--allow-privileged",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + filepath.Join(c.Dir, "sa.key"),
		"--service-account-signing-key-file=" + filepath.Join(c.Dir, "sa.key"),
		"--event-ttl=" + EventTTL.String(), "--profiling=false", "--shutdown-delay-duration=0s",
		// Watches end at once at a stop, instead of holding it up for a minute.
		"--shutdown-watch-termination-grace-period=1s",
	}
	flags = append(flags, c.Storage.Flags()...)
	return append(flags, c.Variant.Flags(filepath.Join(c.Dir, "encryption.yaml"))...)
}

// StartAPIServer returns when readyz is ok.
func (c *Cluster) StartAPIServer(extraEnv ...string) (err error) {
	return c.startAPIServer(nil, extraEnv)
}

func (c *Cluster) startAPIServer(extraFlags, extraEnv []string) (err error) {
	env := append(c.Storage.Env(), extraEnv...)
	flags := append(c.apiFlags(c.port, filepath.Join(c.Dir, c.name+"-certs")), extraFlags...)
	c.api, err = StartProcess(c.Dir, c.name, env, c.Storage.APIServer(c.Out), flags...)
	if err != nil {
		return err
	}
	reason := poll(90*time.Second, func(ctx context.Context) string {
		if ended, err := c.api.Exited(); ended {
			return fmt.Sprintf("%s ended: %v", c.name, err)
		}
		_, err := c.Raw(ctx, "/readyz")
		return said(err)
	})
	if reason != "" {
		return fmt.Errorf("%s is not ready: %s\n%s", c.name, reason, c.api.Tail(15))
	}
	return nil
}

// StopAPIServer ends it in order.
func (c *Cluster) StopAPIServer() error { return c.api.Stop(60 * time.Second) }

func (c *Cluster) electionFlags() []string {
	return []string{"--kubeconfig=" + c.Kubeconfig(), "--secure-port=0", "--leader-elect-lease-duration=6s",
		"--leader-elect-renew-deadline=4s", "--leader-elect-retry-period=1s", "--kube-api-qps=300", "--kube-api-burst=600"}
}

// StartControllerManager starts one of those that elect a leader.
func (c *Cluster) StartControllerManager(name string) (*Process, error) {
	return StartProcess(c.Dir, name, nil, filepath.Join(c.Out, "bin", "kube-controller-manager"),
		append(c.electionFlags(), "--use-service-account-credentials", "--service-account-private-key-file="+filepath.Join(c.Dir, "sa.key"))...)
}

// StartControllers starts controller-manager, scheduler and kwok.
func (c *Cluster) StartControllers() (err error) {
	if c.controller, err = c.StartControllerManager("kube-controller-manager"); err != nil {
		return err
	}
	c.scheduler, err = StartProcess(c.Dir, "kube-scheduler", nil, filepath.Join(c.Out, "bin", "kube-scheduler"), c.electionFlags()...)
	if err != nil {
		return err
	}
	c.kwok, err = StartProcess(c.Dir, "kwok", nil, filepath.Join(c.Tools, "kwok"), "--kubeconfig="+c.Kubeconfig(),
		"--manage-all-nodes=true", "--node-lease-duration-seconds=40", "--cidr=10.0.0.0/16", "--node-ip=192.0.2.10")
	return err
}

// StopControllers ends what StartControllers started.
func (c *Cluster) StopControllers() {
	for _, p := range []*Process{c.kwok, c.scheduler, c.controller} {
		_ = p.Stop(15 * time.Second)
	}
	c.kwok, c.scheduler, c.controller = nil, nil, nil
}

// Close kills whatever still runs.
func (c *Cluster) Close() {
	for _, p := range []*Process{c.kwok, c.scheduler, c.controller, c.api} {
		p.Kill()
	}
	_ = c.Storage.Stop()
}

// Raw is a GET of a path of the API server.
func (c *Cluster) Raw(ctx context.Context, path string) ([]byte, error) {
	return c.Client.Discovery().RESTClient().Get().RequestURI(path).DoRaw(ctx)
}
