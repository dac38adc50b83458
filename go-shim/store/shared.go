package store

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// sharedObject is the object of an event in the hands of many watches. The API
// server serializes it once for all of them that want the same form, as it does
// with the events of the watch cache. Nobody can change it: all access is to copies.
type sharedObject struct {
	obj   runtime.Object
	forms sync.Map // runtime.Identifier -> *form
}

var _ runtime.CacheableObject = &sharedObject{}
var _ metav1.ObjectMetaAccessor = &sharedObject{}

// form is one serialization.
type form struct {
	once sync.Once
	data []byte
	err  error
}

var errNotSerialized = errors.New("the serialization of a shared event has failed")

// CacheEncode implements runtime.CacheableObject.
func (o *sharedObject) CacheEncode(id runtime.Identifier, encode func(runtime.Object, io.Writer) error, w io.Writer) error {
	found, ok := o.forms.Load(id)
	if !ok {
		found, _ = o.forms.LoadOrStore(id, &form{err: errNotSerialized})
	}
	f := found.(*form)
	f.once.Do(func() {
		var b bytes.Buffer
		err := encode(o.GetObject(), &b) // encoders may change what they encode
		f.data, f.err = b.Bytes(), err
	})
	if f.err != nil {
		return f.err
	}
	if splice, ok := w.(runtime.Splice); ok {
		splice.Splice(f.data)
		return nil
	}
	_, err := w.Write(f.data)
	return err
}

// GetObject implements runtime.CacheableObject.
func (o *sharedObject) GetObject() runtime.Object { return o.obj.DeepCopyObject() }

// GetObjectKind implements runtime.Object.
func (o *sharedObject) GetObjectKind() schema.ObjectKind { return o.GetObject().GetObjectKind() }

// DeepCopyObject implements runtime.Object.
func (o *sharedObject) DeepCopyObject() runtime.Object { return &sharedObject{obj: o.GetObject()} }

// GetObjectMeta implements metav1.ObjectMetaAccessor, for meta.Accessor.
func (o *sharedObject) GetObjectMeta() metav1.Object {
	accessor, err := meta.Accessor(o.GetObject())
	if err != nil {
		return nil
	}
	return accessor
}
