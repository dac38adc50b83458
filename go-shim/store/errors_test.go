package store

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	"k8s.io/apiserver/pkg/storage"
	storeerr "k8s.io/apiserver/pkg/storage/errors"

	"github.com/libstorage/go-shim/kv"
)

// TestErrorsAtTheClient follows each code to what a client sees of a failed update.
func TestErrorsAtTheClient(t *testing.T) {
	s := newTestStore(t, newDB(t))
	for code, want := range map[kv.Code]struct {
		status int32
		reason metav1.StatusReason
		retry  int32
	}{
		kv.CodeNotFound:       {http.StatusNotFound, metav1.StatusReasonNotFound, 0},
		kv.CodeExists:         {http.StatusConflict, metav1.StatusReasonConflict, 0},
		kv.CodeConflict:       {http.StatusConflict, metav1.StatusReasonConflict, 0},
		kv.CodeCompacted:      {http.StatusGone, metav1.StatusReasonExpired, 0},
		kv.CodeFutureRevision: {http.StatusGatewayTimeout, metav1.StatusReasonTimeout, 0},
		kv.CodeInvalid:        {http.StatusBadRequest, metav1.StatusReasonBadRequest, 0},
		kv.CodeTooLarge:       {http.StatusRequestEntityTooLarge, metav1.StatusReasonRequestEntityTooLarge, 0},
		kv.CodeBusy:           {http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests, 1},
		kv.CodeUnavailable:    {http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable, 1},
		kv.CodeReadOnly:       {http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable, 0},
		kv.CodeNoSpace:        {http.StatusInsufficientStorage, metav1.StatusReasonInternalError, 0},
		kv.CodeOutcomeUnknown: {http.StatusGatewayTimeout, metav1.StatusReasonTimeout, 0},
		kv.CodeDeadline:       {http.StatusGatewayTimeout, metav1.StatusReasonTimeout, 0},
		kv.CodeCancelled:      {http.StatusGatewayTimeout, metav1.StatusReasonTimeout, 0},
		kv.CodeSlowConsumer:   {http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests, 1},
		kv.CodeCorrupt:        {http.StatusInternalServerError, metav1.StatusReasonInternalError, 0},
		kv.CodeUnimplemented:  {http.StatusInternalServerError, metav1.StatusReasonInternalError, 0},
		kv.CodeInternal:       {http.StatusInternalServerError, metav1.StatusReasonInternalError, 0},
		kv.Code(99):           {http.StatusInternalServerError, metav1.StatusReasonInternalError, 0},
	} {
		cause := &kv.Error{Code: code, Message: "what happened", Backend: "shirts", Revision: 7}
		err := s.apiError(fmt.Errorf("wrapped: %w", cause), "/pods/a", 9)
		err = storeerr.InterpretUpdateError(err, schema.GroupResource{Resource: "pods"}, "a")
		got := responsewriters.ErrorToAPIStatus(err)
		if got.Code != want.status || got.Reason != want.reason {
			t.Errorf("code %d: %d %s, want %d %s", code, got.Code, got.Reason, want.status, want.reason)
		}
		var retry int32
		if got.Details != nil {
			retry = got.Details.RetryAfterSeconds
		}
		if retry != want.retry {
			t.Errorf("code %d: retry after %d, want %d", code, retry, want.retry)
		}
	}
}

func TestErrorsOfTheCaller(t *testing.T) {
	s := newTestStore(t, newDB(t))
	for _, err := range []error{context.Canceled, context.DeadlineExceeded, fmt.Errorf("get: %w", context.Canceled)} {
		if got := s.apiError(err, "/pods/a", 0); !apierrors.IsTimeout(got) {
			t.Errorf("%v became %v", err, got)
		}
		if got := s.listError(err, false, "", "/pods/", 0); !storage.IsRequestTimeout(got) {
			t.Errorf("list: %v became %v", err, got)
		}
	}
	if got := s.apiError(kv.ErrClosed, "/pods/a", 0); !apierrors.IsServiceUnavailable(got) {
		t.Errorf("a closed store gives %v", got)
	}
	if got := s.apiError(errors.New("odd"), "/pods/a", 0); !storage.IsInternalError(got) {
		t.Errorf("an unknown error became %v", got)
	}
	future := s.apiError(&kv.Error{Code: kv.CodeFutureRevision, Revision: 7}, "/pods/a", 9)
	if !storage.IsTooLargeResourceVersion(future) || future.Error() != "Timeout: Too large resource version: 9, current: 7" {
		t.Errorf("a future revision became %v", future)
	}
}

func TestExpiredPageGivesAToken(t *testing.T) {
	s := newTestStore(t, newDB(t))
	gone := &kv.Error{Code: kv.CodeCompacted, Floor: 5}
	var status apierrors.APIStatus
	if err := s.listError(gone, true, "/pods/b\x00", "/pods/", 3); !errors.As(err, &status) || !apierrors.IsResourceExpired(err) {
		t.Fatalf("got %v", err)
	}
	from, rev, err := storage.DecodeContinue(status.Status().ListMeta.Continue, "/pods/")
	if err != nil || from != "/pods/b\x00" || rev != -1 {
		t.Errorf("the token says %q at %d, %v", from, rev, err)
	}
	if err := s.listError(gone, false, "", "/pods/", 3); !errors.As(err, &status) || status.Status().ListMeta.Continue != "" {
		t.Errorf("without paging: %v", err)
	}
}

// TestWatchErrors: a client that was too slow comes back with its version, one
// whose version is gone lists again.
func TestWatchErrors(t *testing.T) {
	s := newTestStore(t, newDB(t))
	for code, want := range map[kv.Code]int32{
		kv.CodeCompacted: http.StatusGone, kv.CodeSlowConsumer: http.StatusTooManyRequests,
		kv.CodeUnavailable: http.StatusServiceUnavailable, kv.CodeInternal: http.StatusInternalServerError,
	} {
		if got := s.watchError(&kv.Error{Code: code}, "/pods/"); got.Code != want {
			t.Errorf("code %d: %v", code, got)
		}
	}
	if got := s.watchError(errors.New("cannot decode"), "/pods/"); got.Reason != metav1.StatusReasonInternalError {
		t.Errorf("a decode error: %v", got)
	}
}
