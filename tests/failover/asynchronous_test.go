package failover

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/libstorage/tests/crash/harness"
)

// TestAsynchronousStandby is the control of TestFailover: what a primary acknowledged
// alone is lost with it. The server must say that instead of writing on.
func TestAsynchronousStandby(t *testing.T) {
	p := newPair(t, false)
	var said error
	lose := harness.Fault{Name: "failover to a standby that is behind", Strike: func(ctx context.Context, s *harness.Strikes) (string, error) {
		err := p.failBehind(func() error { return s.AwaitAcks(ctx, 100) })
		if err != nil {
			return "", err
		}
		limited, cancel := context.WithTimeout(ctx, resumeLimit)
		defer cancel()
		if _, said = s.AwaitWrites(limited); said == nil {
			return "", errors.New("it writes on where acknowledged writes are lost")
		}
		return "", errLost
	}}
	chaos := harness.Chaos{Calls: 2_000, Gap: 300, Lines: [][]harness.Fault{{lose}}}
	h, err := harness.RunChaos(context.Background(), load(t), chaos, servers(t, 1, p)...)
	if !errors.Is(err, errLost) {
		t.Fatal(err)
	}
	if !strings.Contains(said.Error(), "went back to revision") {
		t.Errorf("the server does not say that writes are lost: %v", said)
	}
	t.Logf("%v\n%v", said, harness.Check(h))
}

var errLost = errors.New("the loss was noticed: the run is over")

// failBehind promotes a standby that was down while the primary went on.
func (p *pair) failBehind(goOn func() error) error {
	if err := p.standby.Kill(); err != nil {
		return err
	}
	if err := goOn(); err != nil {
		return err
	}
	if err := p.primary.Kill(); err != nil {
		return err
	}
	if err := p.standby.Restart(); err != nil {
		return err
	}
	return p.standby.Promote()
}
