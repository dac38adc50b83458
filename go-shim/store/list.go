package store

import (
	"context"
	"fmt"
	"reflect"

	"go.opentelemetry.io/otel/attribute"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/etcd3/metrics"
	"k8s.io/component-base/tracing"

	"github.com/libstorage/go-shim/kv"
)

// list is a GetList under way.
type list struct {
	s         *Store
	prefix    string // the prefix of the range, or the one key
	end       string // of the range
	opts      storage.ListOptions
	empty     bool // no selector: every row is an item
	newItem   func() runtime.Object
	preset    bool          // newItem gives more than a zero value
	items     reflect.Value // the slice to fill
	minimum   int64
	rev       int64 // read at this revision, 0 for the latest, which sets it
	from      string
	lastKey   string // the last row that was looked at
	more      bool   // there are rows after lastKey
	remaining int64  // how many, -1 unknown
	rest      int64  // rows from the next page on, -1 unknown
	bad       unreadableList

	pages              int
	fetched, evaluated int // for metrics
}

// GetList implements storage.Interface.
func (s *Store) GetList(ctx context.Context, key string, opts storage.ListOptions, listObj runtime.Object) error {
	key, err := s.prepareKey(key)
	if err != nil {
		return err
	}
	ctx, span := tracing.Start(ctx, "List libstorage",
		attribute.String("audit-id", audit.GetAuditIDTruncated(ctx)),
		attribute.String("key", key),
		attribute.Bool("recursive", opts.Recursive),
		attribute.String("resourceVersion", opts.ResourceVersion),
		attribute.String("resourceVersionMatch", string(opts.ResourceVersionMatch)),
		attribute.Int64("limit", opts.Predicate.Limit),
		attribute.String("continue", opts.Predicate.Continue))
	defer span.End(slowOperation)

	l := &list{s: s, prefix: key, opts: opts, empty: selectsAll(&opts.Predicate), remaining: -1, rest: -1}
	if err := l.bind(listObj); err != nil {
		return err
	}
	if err := l.resolve(); err != nil {
		return err
	}
	defer func() { metrics.RecordStorageListMetrics(s.label, l.fetched, l.evaluated, l.items.Len()) }()
	if opts.Recursive {
		err = l.scan(ctx)
	} else {
		err = l.point(ctx)
	}
	if err := l.bad.err(s, err); err != nil {
		return err
	}
	return l.finish(listObj)
}

// selectsAll takes a predicate that was never filled for one without selectors.
func selectsAll(p *storage.SelectionPredicate) bool {
	return p.Label == nil && p.Field == nil || p.Empty()
}

// bind finds the slice to fill and how to make an item of it.
func (l *list) bind(listObj runtime.Object) error {
	ptr, err := meta.GetItemsPtr(listObj)
	if err != nil {
		return err
	}
	l.items, err = conversion.EnforcePtr(ptr)
	if err != nil || l.items.Kind() != reflect.Slice {
		return fmt.Errorf("need ptr to slice: %v", err)
	}
	// The items of an unstructured list are of the version that it asks for.
	if u, ok := listObj.(*unstructured.UnstructuredList); ok && u.GetAPIVersion() != "" {
		version := u.GetAPIVersion()
		l.preset = true
		l.newItem = func() runtime.Object {
			return &unstructured.Unstructured{Object: map[string]any{"apiVersion": version}}
		}
		return nil
	}
	elem := l.items.Type().Elem()
	l.newItem = func() runtime.Object { return reflect.New(elem).Interface().(runtime.Object) }
	return nil
}

// resolve decides where the list starts and at which revision it reads.
func (l *list) resolve() error {
	var continueRev int64
	if l.opts.Recursive {
		l.prefix = withSlash(l.prefix)
		l.from, l.end = l.prefix, prefixEnd(l.prefix)
	}
	continued := l.opts.Recursive && l.opts.Predicate.Continue != ""
	if continued {
		var err error
		l.from, continueRev, err = storage.DecodeContinue(l.opts.Predicate.Continue, l.prefix)
		if err != nil {
			return apierrors.NewBadRequest(fmt.Sprintf("invalid continue token: %v", err))
		}
	}
	rev, err := l.s.listRevision(continued, continueRev, l.opts)
	if err != nil {
		return err
	}
	l.rev = rev
	if continued && rev > 0 && l.empty {
		l.rest = l.s.rests.find(place{l.prefix, l.from, rev})
	}
	l.minimum, err = l.s.minimumRevision(l.opts.ResourceVersion)
	return err
}

// listRevision is the exact revision that a list reads at, 0 for the latest.
func (s *Store) listRevision(continued bool, continueRev int64, opts storage.ListOptions) (int64, error) {
	if continued {
		if opts.ResourceVersion != "" && opts.ResourceVersion != "0" {
			return 0, apierrors.NewBadRequest("specifying resource version is not allowed when using continue")
		}
		return max(continueRev, 0), nil // negative: go on with what is there now
	}
	if opts.ResourceVersion == "" {
		return 0, nil
	}
	rev, err := s.minimumRevision(opts.ResourceVersion)
	if err != nil {
		return 0, err
	}
	switch opts.ResourceVersionMatch {
	case metav1.ResourceVersionMatchNotOlderThan:
		return 0, nil
	case metav1.ResourceVersionMatchExact:
		return rev, nil
	case "":
		// From before there were match rules: a version means an exact one in paged lists only.
		if opts.Recursive && opts.Predicate.Limit > 0 {
			return rev, nil
		}
		return 0, nil
	}
	return 0, fmt.Errorf("unknown ResourceVersionMatch value: %v", opts.ResourceVersionMatch)
}

// point lists the one object at a key, or none.
func (l *list) point(ctx context.Context) error {
	if l.prefix == l.s.listKey && l.rev == 0 {
		// The watch cache asks for the current revision in this way, for every
		// consistent list: no object is read.
		rev, err := l.s.currentRevision(ctx)
		if err != nil {
			return l.s.listError(err, false, "", l.prefix, l.minimum)
		}
		l.rev = rev
		return atLeast(l.minimum, l.rev)
	}
	read := kv.ReadOptions{Revision: l.minimum}
	if l.rev > 0 {
		read = kv.ReadOptions{Revision: l.rev, Exact: true}
	}
	result, err := l.s.get(ctx, l.prefix, read)
	if err != nil {
		return l.s.listError(err, false, "", l.prefix, read.Revision)
	}
	if l.rev == 0 {
		l.rev = result.Revision
	}
	defer result.Release()
	if err := atLeast(l.minimum, result.Revision); err != nil {
		return err
	}
	return l.take(ctx, result)
}

// finish completes the list's own metadata.
func (l *list) finish(listObj runtime.Object) error {
	if l.items.IsNil() {
		l.items.Set(reflect.MakeSlice(l.items.Type(), 0, 0)) // never null for clients
	}
	var token string
	var remaining *int64
	if l.more {
		var err error
		next := l.lastKey + "\x00"
		if token, err = storage.EncodeContinue(next, l.prefix, l.rev); err != nil {
			return err
		}
		// Rows after the page are not matches of a selector: then nothing is said.
		if l.empty && l.remaining >= 0 {
			remaining = &l.remaining
			l.s.rests.keep(place{l.prefix, next, l.rev}, l.remaining)
		}
	}
	return l.s.versioner.UpdateList(listObj, uint64(l.rev), token, remaining)
}
