package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"
)

// node is a directory in the place of one: the files of deploy/kubeadm are installed there.
type node struct {
	dir, deploy, out string
	config           string // of kubeadm, with the paths of this node
	port             int
}

func newNode(t *testing.T, kind string) *node {
	t.Helper()
	n := &node{dir: t.TempDir(), deploy: filepath.Join(root(t), "deploy/kubeadm"), port: must[[]int](t)(freePorts(1))[0],
		out: envOr("KUBE_OUT", filepath.Join(root(t), "out/kube/v1.32.0"))}
	n.config = filepath.Join(n.dir, "kubeadm.yaml")
	for _, name := range []string{"libstorage", "libstorage/patches", "data", "dry"} {
		if err := os.Mkdir(filepath.Join(n.dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	n.install(t, filepath.Join(kind, "kubeadm.yaml"), n.config,
		"kind: InitConfiguration", fmt.Sprintf("kind: InitConfiguration\nlocalAPIEndpoint: {advertiseAddress: 192.0.2.1, bindPort: %d}\n#", n.port),
		"kind: ClusterConfiguration", "kind: ClusterConfiguration\ncertificatesDir: "+n.dir+"/pki\n#")
	const patch = "kube-apiserver0+strategic.yaml"
	n.install(t, filepath.Join("patches", patch), filepath.Join(n.dir, "libstorage/patches", patch))
	n.install(t, filepath.Join(kind, "topology.yaml"), filepath.Join(n.dir, "libstorage/topology.yaml"))
	return n
}

// install copies a file of deploy; what the kubelet would mount is in this directory instead.
func (n *node) install(t *testing.T, from, to string, changes ...string) {
	t.Helper()
	text := must[[]byte](t)(os.ReadFile(filepath.Join(n.deploy, from)))
	changes = append(changes, "/etc/kubernetes/libstorage", n.dir+"/libstorage", "/var/lib/libstorage", n.dir+"/data")
	if err := os.WriteFile(to, []byte(strings.NewReplacer(changes...).Replace(string(text))), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (n *node) kubeadm(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command(filepath.Join(n.out, "bin/kubeadm"), args...)
	cmd.Env = append(os.Environ(), "KUBEADM_INIT_DRYRUN_DIR="+filepath.Join(n.dir, "dry"))
	output, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("kubeadm %v: %v\n%s", args, err, output)
	}
	return string(output)
}

// manifest is the static pod, as kubeadm writes it with our patches.
func (n *node) manifest(t *testing.T) *corev1.Pod {
	t.Helper()
	said := n.kubeadm(t, "init", "phase", "control-plane", "apiserver", "--dry-run", "--config", n.config)
	var found []string
	_ = filepath.Walk(filepath.Join(n.dir, "dry"), func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Name() == "kube-apiserver.yaml" {
			found = append(found, path)
		}
		return nil
	})
	if len(found) != 1 {
		t.Fatalf("kubeadm wrote %v: %s", found, said)
	}
	pod := &corev1.Pod{}
	if err := yaml.UnmarshalStrict(must[[]byte](t)(os.ReadFile(found[0])), pod); err != nil {
		t.Fatal(err)
	}
	return pod
}

var flagName = regexp.MustCompile(`--([a-z0-9-]+)`)

// TestKubeadm: kubeadm takes the files of deploy/kubeadm, and the patched API server the flags
// that come out. There is no kubelet here: its part is played by hand.
func TestKubeadm(t *testing.T) {
	for kind, servers := range map[string]string{
		"sqlite":   "multi://sqlite://DIR/data/default.db",
		"ha":       "multi://file://DIR/libstorage/default-endpoint",
		"in-place": "multi://https://127.0.0.1:2379",
	} {
		t.Run(kind, func(t *testing.T) {
			n := newNode(t, kind)
			n.kubeadm(t, "config", "validate", "--config", filepath.Join(n.deploy, kind, "kubeadm.yaml"))
			pod := n.manifest(t)
			checkPod(t, n, pod, "--etcd-servers="+strings.Replace(servers, "DIR", n.dir, 1))
			cmd := exec.Command(filepath.Join(n.out, "bin/kube-apiserver"), "--help")
			known := string(must[[]byte](t)(cmd.Output()))
			for _, flag := range pod.Spec.Containers[0].Command[1:] {
				name := flagName.FindStringSubmatch(flag)[1]
				if !strings.Contains(known, " --"+name+" ") {
					t.Errorf("kube-apiserver has no flag --%s", name)
				}
			}
		})
	}
	t.Run("join", func(t *testing.T) {
		n := newNode(t, "ha")
		n.kubeadm(t, "config", "validate", "--config", filepath.Join(n.deploy, "ha/join.yaml"))
	})
	t.Run("serves", func(t *testing.T) { serveAsManifest(t, newNode(t, "sqlite")) })
}

func checkPod(t *testing.T, n *node, pod *corev1.Pod, servers string) {
	t.Helper()
	container := pod.Spec.Containers[0]
	if !strings.Contains(container.Image, "registry.example.com/") {
		t.Errorf("the image is %s, not that of the patch", container.Image)
	}
	if user := pod.Spec.SecurityContext.RunAsUser; user == nil || *user != 0 {
		t.Errorf("it runs as %v", user)
	}
	if container.StartupProbe == nil || container.StartupProbe.HTTPGet.Path != "/livez" {
		t.Errorf("the startup probe is %v", container.StartupProbe)
	}
	text := strings.Join(container.Command, "\n") + "\n"
	for _, flag := range []string{"--storage-backend=libstorage", servers, "--topology-config=" + n.dir + "/libstorage/topology.yaml"} {
		if strings.Count(text, flag+"\n") != 1 {
			t.Errorf("%s is not there once:\n%s", flag, text)
		}
	}
	if strings.Count(text, "--etcd-servers=") != 1 {
		t.Errorf("--etcd-servers is there more than once:\n%s", text)
	}
	mounted := map[string]bool{}
	for _, mount := range container.VolumeMounts {
		mounted[mount.MountPath] = mount.ReadOnly
	}
	if readOnly, there := mounted[n.dir+"/libstorage"]; !there || !readOnly {
		t.Errorf("the configuration is not mounted read-only: %v", mounted)
	}
}

// serveAsManifest starts kube-apiserver with exactly the flags and variables of the static pod.
func serveAsManifest(t *testing.T, n *node) {
	n.kubeadm(t, "init", "phase", "certs", "all", "--config", n.config)
	n.kubeadm(t, "init", "phase", "kubeconfig", "super-admin", "--kubeconfig-dir", n.dir, "--config", n.config)
	pod := n.manifest(t)
	var env []string
	for _, e := range pod.Spec.Containers[0].Env {
		env = append(env, e.Name+"="+e.Value)
	}
	server := must[*Process](t)(StartProcess(n.dir, "kube-apiserver", env, filepath.Join(n.out, "bin/kube-apiserver"), pod.Spec.Containers[0].Command[1:]...))
	defer server.Kill()
	config := must[*kubernetes.Clientset](t)(n.client())
	eventually(t, 90*time.Second, "a server with the flags of the static pod", func(ctx context.Context) string {
		if ended, err := server.Exited(); ended {
			t.Fatalf("it ended: %v\n%s", err, server.Tail(15))
		}
		_, err := config.CoreV1().Namespaces().Get(ctx, "kube-system", metav1.GetOptions{})
		return said(err)
	})
	for _, file := range []string{"default.db", "metadata.db", "pods.db", "events.db"} {
		if _, err := os.Stat(filepath.Join(n.dir, "data", file)); err != nil {
			t.Error(err)
		}
	}
	if err := server.Stop(60 * time.Second); err != nil {
		t.Error(err)
	}
}

func (n *node) client() (*kubernetes.Clientset, error) {
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(n.dir, "super-admin.conf"))
	if err != nil {
		return nil, err
	}
	config.Host = fmt.Sprintf("https://127.0.0.1:%d", n.port)
	config.CAData, config.Insecure = nil, true
	return kubernetes.NewForConfig(config)
}
