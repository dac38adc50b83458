package kubetarget

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	clientcore "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/libstorage/tests/crash/target"
	"github.com/libstorage/tests/history"
)

// valueSize of what clients write.
const valueSize = 1000

// Client implements target.Client.
type Client struct {
	core       clientcore.CoreV1Interface
	namespaces map[string]bool
}

func split(key string) (namespace, name string) {
	namespace, name, _ = strings.Cut(key, "/")
	return namespace, name
}

func (c *Client) maps(key string) clientcore.ConfigMapInterface {
	namespace, _ := split(key)
	return c.core.ConfigMaps(namespace)
}

func object(key, value string) *corev1.ConfigMap {
	namespace, name := split(key)
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Data:       map[string]string{"value": target.Pad(value, valueSize)},
	}
}

func item(o *corev1.ConfigMap) history.Item {
	return history.Item{Key: o.Namespace + "/" + o.Name, Value: target.Unpad(o.Data["value"]), Mod: revision(o.ResourceVersion)}
}

// Create implements target.Client.
func (c *Client) Create(ctx context.Context, key, value string) (int64, error) {
	o, err := c.maps(key).Create(ctx, object(key, value), metav1.CreateOptions{})
	if err != nil {
		return 0, asAnswer(err)
	}
	return revision(o.ResourceVersion), nil
}

// Update implements target.Client.
func (c *Client) Update(ctx context.Context, key, value string, expected int64) (int64, error) {
	o := object(key, value)
	o.ResourceVersion = strconv.FormatInt(expected, 10)
	o, err := c.maps(key).Update(ctx, o, metav1.UpdateOptions{})
	if err != nil {
		return 0, asAnswer(err)
	}
	return revision(o.ResourceVersion), nil
}

// Delete implements target.Client. The API does not tell the revision.
func (c *Client) Delete(ctx context.Context, key string, expected int64) (int64, error) {
	_, name := split(key)
	rv := strconv.FormatInt(expected, 10)
	err := c.maps(key).Delete(ctx, name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{ResourceVersion: &rv}})
	return 0, asAnswer(err)
}

// Get implements target.Client. At a revision it is a list of one name, since the
// API has no other way.
func (c *Client) Get(ctx context.Context, key string, at int64) ([]history.Item, int64, error) {
	namespace, name := split(key)
	if at != 0 {
		l, err := c.list(ctx, namespace, metav1.ListOptions{FieldSelector: "metadata.name=" + name}, target.ListOptions{At: at})
		return l.Items, l.Rev, err
	}
	o, err := c.maps(key).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, 0, asAnswer(err)
	}
	return []history.Item{item(o)}, 0, nil
}

// List implements target.Client.
func (c *Client) List(ctx context.Context, prefix string, o target.ListOptions) (target.Listing, error) {
	namespace, _ := split(prefix)
	return c.list(ctx, namespace, metav1.ListOptions{Limit: int64(o.Page)}, o)
}

func (c *Client) list(ctx context.Context, namespace string, options metav1.ListOptions, o target.ListOptions) (target.Listing, error) {
	switch {
	case o.At != 0:
		options.ResourceVersion, options.ResourceVersionMatch = strconv.FormatInt(o.At, 10), metav1.ResourceVersionMatchExact
	case o.Min != 0:
		options.ResourceVersion, options.ResourceVersionMatch = strconv.FormatInt(o.Min, 10), metav1.ResourceVersionMatchNotOlderThan
	}
	var all target.Listing
	for {
		page, err := c.core.ConfigMaps(namespace).List(ctx, options)
		if err != nil {
			return target.Listing{}, asAnswer(err)
		}
		var items []history.Item
		for i := range page.Items {
			if c.namespaces[page.Items[i].Namespace] { // not the system's own
				items = append(items, item(&page.Items[i]))
			}
		}
		all.Add(items, revision(page.ResourceVersion))
		if page.Continue == "" {
			return all, nil
		}
		options.Continue, options.ResourceVersion, options.ResourceVersionMatch = page.Continue, "", ""
	}
}

// Compact implements target.Client.
func (c *Client) Compact(context.Context, int64) error { return target.ErrUnsupported }

// Watch implements target.Client.
func (c *Client) Watch(ctx context.Context, prefix string, after int64) (target.Stream, error) {
	namespace, _ := split(prefix)
	w, err := c.core.ConfigMaps(namespace).Watch(ctx, metav1.ListOptions{
		ResourceVersion: strconv.FormatInt(after, 10), AllowWatchBookmarks: true,
	})
	if err != nil {
		return nil, asAnswer(err)
	}
	return &stream{w, c.namespaces}, nil
}

type stream struct {
	watch.Interface
	namespaces map[string]bool
}

// Next implements target.Stream.
func (s *stream) Next() (history.Event, error) {
	for event := range s.ResultChan() {
		if event.Type == watch.Error {
			return history.Event{}, asAnswer(apierrors.FromObject(event.Object))
		}
		o, ok := event.Object.(*corev1.ConfigMap)
		if !ok {
			return history.Event{}, fmt.Errorf("a watch of config maps gave %T", event.Object)
		}
		e := history.Event{Rev: revision(o.ResourceVersion)}
		switch {
		case event.Type == watch.Bookmark:
			e.Kind = history.Progress
			return e, nil
		case !s.namespaces[o.Namespace]:
			continue
		case event.Type == watch.Deleted:
			e.Kind = history.Deleted
		default:
			e.Kind = history.Put
		}
		shown := item(o)
		e.Key, e.Value = shown.Key, shown.Value
		return e, nil
	}
	return history.Event{}, fmt.Errorf("the stream ended")
}

// Close implements target.Stream.
func (s *stream) Close() { s.Stop() }
