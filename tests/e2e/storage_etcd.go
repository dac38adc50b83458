package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"time"
)

// stockEtcd is upstream's storage: it shows that the script itself is right.
type stockEtcd struct {
	binary string
	dir    string
	url    string
	etcd   *Process
}

func (s *stockEtcd) APIServer(out string) string {
	return filepath.Join(out, "stock", "bin", "kube-apiserver")
}

func (s *stockEtcd) Start(dir string) error {
	ports, err := freePorts(2)
	if err != nil {
		return err
	}
	s.dir = filepath.Join(dir, "etcd")
	s.url = fmt.Sprintf("http://127.0.0.1:%d", ports[0])
	peer := fmt.Sprintf("http://127.0.0.1:%d", ports[1])
	s.etcd, err = StartProcess(dir, "etcd", nil, s.binary, "--data-dir="+s.dir,
		"--listen-client-urls="+s.url, "--advertise-client-urls="+s.url, "--listen-peer-urls="+peer,
		"--initial-advertise-peer-urls="+peer, "--initial-cluster=default="+peer, "--log-level=warn")
	return err
}

func (s *stockEtcd) Flags() []string        { return []string{"--etcd-servers=" + s.url} }
func (s *stockEtcd) Env() []string          { return nil }
func (s *stockEtcd) Stop() error            { return s.etcd.Stop(20 * time.Second) }
func (s *stockEtcd) ShortHistory() []string { return nil }

func (s *stockEtcd) CompactTo(revision int64) (bool, error) {
	_, err := s.post("/v3/kv/compaction", map[string]any{"revision": revision, "physical": true})
	return true, err
}

func (s *stockEtcd) Checks() (sides, central []string) { return nil, []string{"etcd"} }
func (s *stockEtcd) OneServer() bool                   { return false }
func (s *stockEtcd) Metrics() []string                 { return []string{"etcd_request_duration_seconds_count{"} }
func (s *stockEtcd) Database(Key) string               { return "etcd" }
func (s *stockEtcd) DataDirs() []string                { return []string{s.dir} }

func (s *stockEtcd) Keys() (map[string][]string, error) {
	rows, err := s.query(map[string]any{"key": encode("/registry/"), "range_end": encode("/registry0"), "keys_only": true})
	if err != nil {
		return nil, err
	}
	all := map[string][]string{}
	for _, row := range rows {
		all["etcd"] = append(all["etcd"], string(row.Key))
	}
	return all, nil
}

func (s *stockEtcd) Values(key string) ([]string, error) {
	rows, err := s.query(map[string]any{"key": encode(key)})
	var values []string
	for _, row := range rows {
		values = append(values, string(row.Value))
	}
	return values, err
}

func encode(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

type etcdRow struct{ Key, Value []byte }

func (s *stockEtcd) query(request map[string]any) ([]etcdRow, error) {
	var answer struct{ Kvs []etcdRow }
	text, err := s.post("/v3/kv/range", request)
	if err != nil {
		return nil, err
	}
	return answer.Kvs, json.Unmarshal(text, &answer)
}

// leased are the keys that go by themselves.
func (s *stockEtcd) leased() (map[string]bool, error) {
	var answer struct {
		Kvs []struct {
			Key   []byte
			Lease string
		}
	}
	text, err := s.post("/v3/kv/range", map[string]any{"key": encode("/registry/"), "range_end": encode("/registry0"), "keys_only": true})
	if err == nil {
		err = json.Unmarshal(text, &answer)
	}
	found := map[string]bool{}
	for _, row := range answer.Kvs {
		if row.Lease != "" && row.Lease != "0" {
			found[string(row.Key)] = true
		}
	}
	return found, err
}

// revokeLeases ends all of them; their keys go.
func (s *stockEtcd) revokeLeases() error {
	var answer struct{ Leases []struct{ ID string } }
	text, err := s.post("/v3/lease/leases", map[string]any{})
	if err == nil {
		err = json.Unmarshal(text, &answer)
	}
	for _, lease := range answer.Leases {
		if err == nil {
			_, err = s.post("/v3/lease/revoke", map[string]any{"ID": lease.ID})
		}
	}
	return err
}

// post speaks to etcd's JSON gateway.
func (s *stockEtcd) post(path string, request any) ([]byte, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	response, err := http.Post(s.url+path, "application/json", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", path, response.Status, text)
	}
	return text, err
}

func (s *stockEtcd) Backup(string) (bool, error)      { return false, nil }
func (s *stockEtcd) Restore(string) ([]string, error) { return nil, nil }
