package store

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/storage"

	"github.com/libstorage/go-shim/kv"
)

// This file alone says which Kubernetes error a code of the key-value store is.

const retryAfterSeconds = 1

// tooLarge is 413 for clients. To the API server's handlers it looks like what etcd's client
// says of such a request: they take out managedFields, which may be most of an object and
// need not be stored, and try once more (isTooLargeError of k8s.io/apiserver/pkg/endpoints/handlers).
type tooLarge struct{ *apierrors.StatusError }

func (e tooLarge) GRPCStatus() *grpcstatus.Status {
	return grpcstatus.New(codes.ResourceExhausted, "trying to send message larger than max: "+e.ErrStatus.Message)
}

const (
	// Clients and upstream's tests look for the first words of these.
	listExpired     = "The resourceVersion for the provided list is too old: its history has been compacted."
	watchExpired    = "The resourceVersion for the provided watch is too old: its history has been compacted."
	continueExpired = "The provided continue parameter is too old to display a consistent list result. " +
		"Start again without it, or go on with the token in this response, which reads the rest as it is now: " +
		"objects that changed since the first page may be missing, or be there twice."
)

// hasCode tells whether err is a *kv.Error with the code.
func hasCode(err error, code kv.Code) bool {
	var e *kv.Error
	return errors.As(err, &e) && e.Code == code
}

// currentOf takes the object out of a failed compare, and tells whether err is
// one: EXISTS and CONFLICT carry the object, NOT_FOUND says there is none.
func currentOf(err error) (*kv.Result, bool) {
	var e *kv.Error
	if !errors.As(err, &e) {
		return nil, false
	}
	switch e.Code {
	case kv.CodeExists, kv.CodeConflict:
		return e.Current, e.Current != nil && len(e.Current.KVs) == 1
	case kv.CodeNotFound:
		return nil, true
	}
	return nil, false
}

// releaseError gives back the object that a failed compare carries.
func releaseError(err error) {
	var e *kv.Error
	if errors.As(err, &e) {
		e.Current.Release()
	}
}

// apiError maps an error of the key-value store. requested is the revision that
// was asked for, 0 for none. An outage never becomes a conflict, and an unknown
// outcome never becomes a failure.
func (s *Store) apiError(err error, key string, requested int64) error {
	var e *kv.Error
	switch {
	case err == nil:
		return nil
	case storage.IsInternalError(err): // not from the key-value store
		return err
	case errors.Is(err, kv.ErrClosed):
		return unavailable("storage is shutting down", retryAfterSeconds)
	case isTimeout(err):
		return timedOut(err)
	case !errors.As(err, &e):
		return storage.NewInternalError(err)
	}
	switch e.Code {
	case kv.CodeNotFound:
		return storage.NewKeyNotFoundError(key, e.Revision)
	case kv.CodeExists:
		return storage.NewKeyExistsError(key, e.Revision)
	case kv.CodeConflict:
		return storage.NewResourceVersionConflictsError(key, e.Revision)
	case kv.CodeCompacted:
		return apierrors.NewResourceExpired(listExpired)
	case kv.CodeFutureRevision:
		return storage.NewTooLargeResourceVersionError(uint64(requested), uint64(e.Revision), 0)
	case kv.CodeInvalid:
		return apierrors.NewBadRequest(e.Error())
	case kv.CodeTooLarge:
		return tooLarge{apierrors.NewRequestEntityTooLargeError(e.Error())}
	case kv.CodeBusy, kv.CodeSlowConsumer:
		return apierrors.NewTooManyRequests(e.Error(), retryAfterSeconds)
	case kv.CodeUnavailable:
		return unavailable(e.Error(), retryAfterSeconds)
	case kv.CodeReadOnly:
		return unavailable(e.Error(), 0) // until an operator acts
	case kv.CodeNoSpace:
		return status(http.StatusInsufficientStorage, metav1.StatusReasonInternalError, e.Error(), 0)
	case kv.CodeOutcomeUnknown:
		return apierrors.NewTimeoutError(
			fmt.Sprintf("%s; whether the write was applied is unknown: read before writing again", e.Error()), 0)
	default: // CORRUPT, UNIMPLEMENTED, INTERNAL, and codes of a newer library
		return storage.NewInternalError(e)
	}
}

// timedOut is for a call whose caller gave up, or whose time was over.
func timedOut(err error) error {
	return apierrors.NewTimeoutError("request did not complete within the requested timeout: "+err.Error(), 0)
}

func isTimeout(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		hasCode(err, kv.CodeDeadline) || hasCode(err, kv.CodeCancelled)
}

func unavailable(message string, retryAfter int32) error {
	return status(http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable, message, retryAfter)
}

func status(code int32, reason metav1.StatusReason, message string, retryAfter int32) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: code, Reason: reason, Message: message,
		Details: &metav1.StatusDetails{RetryAfterSeconds: retryAfter},
	}}
}

// listError maps an error of a list, whose next key would have been from. A list
// in pages that outlived its history may go on with what is there now.
func (s *Store) listError(err error, paging bool, from, prefix string, requested int64) error {
	if isTimeout(err) {
		return storage.NewTimeoutError(prefix, "request did not complete within requested timeout")
	}
	if !paging || !hasCode(err, kv.CodeCompacted) {
		return s.apiError(err, prefix, requested)
	}
	expired := apierrors.NewResourceExpired(continueExpired)
	if token, err := storage.EncodeContinue(from, prefix, -1); err == nil {
		expired.ErrStatus.ListMeta.Continue = token
	}
	return expired
}

// watchError maps what ended a watch to the status of its last event.
func (s *Store) watchError(err error, key string) *metav1.Status {
	if hasCode(err, kv.CodeCompacted) {
		err = apierrors.NewResourceExpired(watchExpired)
	}
	var corrupt *corruptDeletedError
	if errors.As(err, &corrupt) {
		err = status(http.StatusInternalServerError, metav1.StatusReasonStoreReadError, corrupt.Error(), 0)
	}
	var e *kv.Error
	if errors.As(err, &e) || errors.Is(err, kv.ErrClosed) {
		err = s.apiError(err, key, 0)
	}
	var known apierrors.APIStatus
	if !errors.As(err, &known) {
		known = apierrors.NewInternalError(err)
	}
	result := known.Status()
	return &result
}
