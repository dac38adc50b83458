package store

import (
	"context"
	"testing"

	storagetesting "k8s.io/apiserver/pkg/storage/testing"
)

// upstreamSuite is every function of k8s.io/apiserver/pkg/storage/testing; the
// table in docs/conformance.md is made from it.
var upstreamSuite = []struct {
	name string
	run  func(ctx context.Context, t *testing.T, s storeUnderTest)
}{
	{"Create", func(ctx context.Context, t *testing.T, s storeUnderTest) {
		storagetesting.RunTestCreate(ctx, t, s, checkStored(s.Store))
	}},
	{"CreateWithTTL", plain(storagetesting.RunTestCreateWithTTL)},
	{"CreateWithKeyExist", plain(storagetesting.RunTestCreateWithKeyExist)},
	{"Get", plain(storagetesting.RunTestGet)},
	{"UnconditionalDelete", plain(storagetesting.RunTestUnconditionalDelete)},
	{"ConditionalDelete", plain(storagetesting.RunTestConditionalDelete)},
	{"DeleteWithSuggestion", plain(storagetesting.RunTestDeleteWithSuggestion)},
	{"DeleteWithSuggestionAndConflict", plain(storagetesting.RunTestDeleteWithSuggestionAndConflict)},
	{"DeleteWithConflict", plain(storagetesting.RunTestDeleteWithConflict)},
	{"DeleteWithSuggestionOfDeletedObject", plain(storagetesting.RunTestDeleteWithSuggestionOfDeletedObject)},
	{"ValidateDeletionWithSuggestion", plain(storagetesting.RunTestValidateDeletionWithSuggestion)},
	{"ValidateDeletionWithOnlySuggestionValid", plain(storagetesting.RunTestValidateDeletionWithOnlySuggestionValid)},
	{"PreconditionalDeleteWithSuggestion", plain(storagetesting.RunTestPreconditionalDeleteWithSuggestion)},
	{"PreconditionalDeleteWithOnlySuggestionPass", plain(storagetesting.RunTestPreconditionalDeleteWithOnlySuggestionPass)},
	{"List", func(ctx context.Context, t *testing.T, s storeUnderTest) {
		storagetesting.RunTestList(ctx, t, s, compact(s.Store), false)
	}},
	{"ConsistentList", func(ctx context.Context, t *testing.T, s storeUnderTest) {
		storagetesting.RunTestConsistentList(ctx, t, s, compact(s.Store), false, true)
	}},
	{"GetListNonRecursive", func(ctx context.Context, t *testing.T, s storeUnderTest) {
		storagetesting.RunTestGetListNonRecursive(ctx, t, compact(s.Store), s)
	}},
	{"GetListRecursivePrefix", plain(storagetesting.RunTestGetListRecursivePrefix)},
	{"ListContinuation", counted(storagetesting.RunTestListContinuation)},
	{"ListPaginationRareObject", counted(storagetesting.RunTestListPaginationRareObject)},
	{"ListContinuationWithFilter", counted(storagetesting.RunTestListContinuationWithFilter)},
	{"ListInconsistentContinuation", func(ctx context.Context, t *testing.T, s storeUnderTest) {
		storagetesting.RunTestListInconsistentContinuation(ctx, t, s, compact(s.Store))
	}},
	{"ListResourceVersionMatch", func(ctx context.Context, t *testing.T, s storeUnderTest) {
		storagetesting.RunTestListResourceVersionMatch(ctx, t, s)
	}},
	{"GuaranteedUpdate", func(ctx context.Context, t *testing.T, s storeUnderTest) {
		storagetesting.RunTestGuaranteedUpdate(ctx, t, s, checkStored(s.Store))
	}},
	{"GuaranteedUpdateWithTTL", plain(storagetesting.RunTestGuaranteedUpdateWithTTL)},
	{"GuaranteedUpdateChecksStoredData", func(ctx context.Context, t *testing.T, s storeUnderTest) {
		storagetesting.RunTestGuaranteedUpdateChecksStoredData(ctx, t, s)
	}},
	{"GuaranteedUpdateWithConflict", plain(storagetesting.RunTestGuaranteedUpdateWithConflict)},
	{"GuaranteedUpdateWithSuggestionAndConflict", plain(storagetesting.RunTestGuaranteedUpdateWithSuggestionAndConflict)},
	{"TransformationFailure", func(ctx context.Context, t *testing.T, s storeUnderTest) {
		storagetesting.RunTestTransformationFailure(ctx, t, s)
	}},
	{"Count", plain(storagetesting.RunTestCount)},
	{"ListPaging", plain(storagetesting.RunTestListPaging)},
	{"NamespaceScopedList", plain(storagetesting.RunTestNamespaceScopedList)},

	{"Watch", plain(storagetesting.RunTestWatch)},
	{"WatchFromZero", func(ctx context.Context, t *testing.T, s storeUnderTest) {
		storagetesting.RunTestWatchFromZero(ctx, t, s, compact(s.Store))
	}},
	{"DeleteTriggerWatch", plain(storagetesting.RunTestDeleteTriggerWatch)},
	{"WatchFromNonZero", plain(storagetesting.RunTestWatchFromNonZero)},
	{"DelayedWatchDelivery", plain(storagetesting.RunTestDelayedWatchDelivery)},
	{"WatchError", func(ctx context.Context, t *testing.T, s storeUnderTest) {
		storagetesting.RunTestWatchError(ctx, t, s)
	}},
	{"WatchWithUnsafeDelete", func(ctx context.Context, t *testing.T, s storeUnderTest) {
		storagetesting.RunTestWatchWithUnsafeDelete(ctx, t, s)
	}},
	{"WatchContextCancel", plain(storagetesting.RunTestWatchContextCancel)},
	{"WatcherTimeout", plain(storagetesting.RunTestWatcherTimeout)},
	{"WatchDeleteEventObjectHaveLatestRV", plain(storagetesting.RunTestWatchDeleteEventObjectHaveLatestRV)},
	{"WatchInitializationSignal", plain(storagetesting.RunTestWatchInitializationSignal)},
	{"OptionalProgressNotify", plain(storagetesting.RunOptionalTestProgressNotify)},
	{"ClusterScopedWatch", plain(storagetesting.RunTestClusterScopedWatch)},
	{"NamespaceScopedWatch", plain(storagetesting.RunTestNamespaceScopedWatch)},
	{"WatchDispatchBookmarkEvents", func(ctx context.Context, t *testing.T, s storeUnderTest) {
		storagetesting.RunTestWatchDispatchBookmarkEvents(ctx, t, s, true)
	}},
	{"OptionalWatchBookmarksWithCorrectResourceVersion", plain(storagetesting.RunTestOptionalWatchBookmarksWithCorrectResourceVersion)},
	{"SendInitialEventsBackwardCompatibility", plain(storagetesting.RunSendInitialEventsBackwardCompatibility)},
	{"WatchSemantics", plain(storagetesting.RunWatchSemantics)},
	{"WatchSemanticInitialEventsExtended", plain(storagetesting.RunWatchSemanticInitialEventsExtended)},
	{"WatchListMatchSingle", plain(storagetesting.RunWatchListMatchSingle)},
	{"WatchErrorIsBlockingFurtherEvents", func(ctx context.Context, t *testing.T, s storeUnderTest) {
		storagetesting.RunWatchErrorIsBlockingFurtherEvents(ctx, t, s)
	}},
}
