package model

import "fmt"

// Names of enumerations in JSON.

var kindNames = []string{"put", "create", "delete", "reap"}
var readKindNames = []string{"list", "list-minimum", "list-at", "current-revision"}

// MarshalText is the name of the kind.
func (k Kind) MarshalText() ([]byte, error) { return []byte(kindNames[k]), nil }

// UnmarshalText finds the kind of a name.
func (k *Kind) UnmarshalText(text []byte) error {
	n, err := indexOf(kindNames, string(text))
	*k = Kind(n)
	return err
}

// MarshalText is the name of the kind.
func (k ReadKind) MarshalText() ([]byte, error) { return []byte(readKindNames[k]), nil }

// UnmarshalText finds the kind of a name.
func (k *ReadKind) UnmarshalText(text []byte) error {
	n, err := indexOf(readKindNames, string(text))
	*k = ReadKind(n)
	return err
}

func indexOf(names []string, name string) (int, error) {
	for n, known := range names {
		if known == name {
			return n, nil
		}
	}
	return 0, fmt.Errorf("no kind is called %q", name)
}

// mode is how the scenario's processes work, for whoever replays it.
func (c *Scenario) mode() []string {
	var out []string
	for _, m := range []struct {
		name string
		on   bool
	}{{"memory-sequencer", c.Memory}, {"early-take", c.EarlyTake}, {"etcd", c.Etcd},
		{"number-blocks", c.Block > 0}, {"foreign-meta", c.ForeignM}, {"successor-starts", c.Starts},
		{"together", c.Together > 0}, {"move", c.Move}, {"watch", c.Watch}, {"readers-void", c.ReadersVoid}} {
		if m.on {
			out = append(out, m.name)
		}
	}
	return out
}
