package store

import (
	"context"
	"testing"

	"k8s.io/apiserver/pkg/features"
	"k8s.io/apiserver/pkg/storage"
	storagetesting "k8s.io/apiserver/pkg/storage/testing"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	featuregatetesting "k8s.io/component-base/featuregate/testing"
)

func plain(run func(context.Context, *testing.T, storage.Interface)) func(context.Context, *testing.T, storeUnderTest) {
	return func(ctx context.Context, t *testing.T, s storeUnderTest) { run(ctx, t, s) }
}

// counted replaces upstream's callback, which asserts how etcd's pages double.
// Ours may look at more rows than etcd3 does, bounded, in far fewer reads.
func counted(run func(context.Context, *testing.T, storage.Interface, storagetesting.CallsValidation)) func(context.Context, *testing.T, storeUnderTest) {
	return func(ctx context.Context, t *testing.T, s storeUnderTest) {
		transformer := s.transformer.(*storagetesting.PrefixTransformer)
		calls := &callCounter{Store: s.kv}
		s.kv = calls
		run(ctx, t, s, func(t *testing.T, pageSize, rows uint64) {
			if read := transformer.GetReadsAndReset(); read < rows || read > rows+waveRows {
				t.Errorf("looked at %d rows, needed %d", read, rows)
			}
			// sparsePage doubles: 64, 128, 256, 512, 1024 hold the suite's largest list.
			if lists := calls.lists.Swap(0); lists < 1 || lists > 5 {
				t.Errorf("%d reads for %d rows", lists, rows)
			}
		})
	}
}

// TestUpstreamSuite runs all of upstream's suite on every database.
func TestUpstreamSuite(t *testing.T) {
	for _, db := range databases {
		t.Run(db.name, func(t *testing.T) {
			for _, test := range upstreamSuite {
				t.Run(test.name, func(t *testing.T) {
					if test.name == "WatchWithUnsafeDelete" {
						featuregatetesting.SetFeatureGateDuringTest(t, utilfeature.DefaultFeatureGate, features.AllowUnsafeMalformedObjectDeletion, true)
					}
					s := newTestStore(t, poisoned{openDB(t, db.options(t))})
					test.run(context.Background(), t, storeUnderTest{s})
				})
			}
		})
	}
}
