package store

import (
	"errors"
	"fmt"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/storage"
)

// With the feature AllowUnsafeMalformedObjectDeletion an administrator may delete
// an object that cannot be read. For that the registry must be able to tell such
// an object from any other error; the types here carry the difference.

// unreadableError is an object that cannot be transformed or decoded.
type unreadableError struct {
	what string
	err  error
}

func (e *unreadableError) Error() string { return fmt.Sprintf("%s: %v", e.what, e.err) }
func (e *unreadableError) Unwrap() error { return e.err }

func (s *Store) untransformable(err error) error {
	if !s.unsafeDelete {
		return err
	}
	return &unreadableError{"data from the storage is not transformable revision=0", err} // upstream's words; it names no revision either
}

func (s *Store) undecodable(err error, rev int64) error {
	if !s.unsafeDelete {
		return err
	}
	return &unreadableError{fmt.Sprintf("object not decodable revision=%d", rev), err}
}

// corruptObject makes err the error that the registry's unsafe deletion knows.
func corruptObject(key string, err error) error {
	var unreadable *unreadableError
	if errors.As(err, &unreadable) {
		return storage.NewCorruptObjError(key, unreadable)
	}
	return err
}

// corruptDeletedError ends a watch that saw the deletion of an unreadable object.
type corruptDeletedError struct{ err error }

func (e *corruptDeletedError) Error() string {
	return fmt.Sprintf("saw a DELETED event, but object data is corrupt - %v", e.err)
}
func (e *corruptDeletedError) Unwrap() error { return e.err }

func asCorruptDeleted(err error) error {
	var unreadable *unreadableError
	if errors.As(err, &unreadable) {
		return &corruptDeletedError{unreadable}
	}
	return err
}

const maxUnreadable = 100

// unreadableList collects what a list could not read: a list that fails names
// all unreadable objects, up to maxUnreadable, so that they can be deleted.
type unreadableList struct {
	causes  []metav1.StatusCause
	tooMany bool
}

// add notes an error of the object at key and tells whether the list goes on.
func (u *unreadableList) add(key string, err error) bool {
	var unreadable *unreadableError
	if !errors.As(err, &unreadable) {
		return false
	}
	if len(u.causes) == maxUnreadable {
		u.tooMany = true
		return false
	}
	u.causes = append(u.causes, metav1.StatusCause{
		Type:    metav1.CauseTypeUnexpectedServerResponse,
		Field:   key,
		Message: storage.NewCorruptObjError(key, unreadable).Error(),
	})
	return true
}

// err is the error of the list; abort is what add did not take, if anything.
func (u *unreadableList) err(s *Store, abort error) error {
	if len(u.causes) == 0 {
		return abort
	}
	if u.tooMany {
		u.causes = append(u.causes, metav1.StatusCause{
			Type:    metav1.CauseTypeTooMany,
			Message: "too many errors, the list is truncated",
		})
	}
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status:  metav1.StatusFailure,
		Code:    http.StatusInternalServerError,
		Reason:  metav1.StatusReasonStoreReadError,
		Message: fmt.Sprintf("failed to read one or more %s from the storage", s.label),
		Details: &metav1.StatusDetails{
			Group: s.resource.Group, Kind: s.resource.Resource, Name: "list", Causes: u.causes,
		},
	}}
}
