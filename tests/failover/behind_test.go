package failover

import (
	"context"
	"testing"
	"time"

	"github.com/libstorage/tests/crash/harness"
)

// TestStandbyDiesFirst: while no standby confirms, nothing is acknowledged; the
// primary gives up waiting after the session's time-out and has the writes alone.
// Then it dies, and the standby, which never got them, is promoted.
func TestStandbyDiesFirst(t *testing.T) {
	p := newPair(t, true)
	done := false
	lose := harness.Fault{Name: "failover to a synchronous standby that was down", Strike: func(ctx context.Context, s *harness.Strikes) (string, error) {
		if done { // there is no other standby to promote
			return "", nil
		}
		done = true
		err := p.failBehind(func() error {
			time.Sleep(alone)
			return nil
		})
		if err != nil {
			return "", err
		}
		took, err := s.AwaitWrites(ctx)
		return "writes resumed after " + took.String(), err
	}}
	mustHold(t, servers(t, 1, p), lose)
}

// alone is longer than several time-outs of a lane session.
const alone = 8 * time.Second
