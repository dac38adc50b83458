package main

import (
	"context"
	"fmt"
	"math/rand"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage"
)

var (
	background     = context.Background()
	ignoreNotFound = storage.GetOptions{IgnoreNotFound: true}
)

// creates returns a call that creates the i-th pod of a set, made beforehand.
func (c *child) creates(set string, n int) func(i int) error {
	pods := make([]*corev1.Pod, n)
	for i := range pods {
		pods[i] = newPod(set, i)
	}
	return func(i int) error {
		pod := pods[i]
		pods[i] = nil
		return c.store.Create(background, podKey(set, i), pod, &corev1.Pod{}, 0)
	}
}

// fill creates pods from..to of a set without measuring.
func (c *child) fill(set string, from, to int) error {
	_, err := loop(64, to-from, func(i int) error {
		return c.store.Create(background, podKey(set, from+i), newPod(set, from+i), &corev1.Pod{}, 0)
	})
	return err
}

func (c *child) get(set string, among int) func(i int) error {
	return func(int) error {
		return c.store.Get(background, podKey(set, rand.Intn(among)), storage.GetOptions{}, &corev1.Pod{})
	}
}

// touch is the change that updates make.
func touch(i int) storage.UpdateFunc {
	return storage.SimpleUpdate(func(obj runtime.Object) (runtime.Object, error) {
		pod := obj.(*corev1.Pod)
		pod.Annotations["touched"] = fmt.Sprint(i)
		return pod, nil
	})
}

// update changes pods one after another; the store reads them first.
func (c *child) update(set string, among int) func(i int) error {
	return func(i int) error {
		return c.store.GuaranteedUpdate(background, podKey(set, i%among), &corev1.Pod{}, false, nil, touch(i), nil)
	}
}

// updateCached gives the store the current object, as a watch cache would.
func (c *child) updateCached(set string, among int) (func(i int) error, error) {
	cached := make([]*corev1.Pod, among)
	if _, err := loop(16, among, func(i int) error {
		cached[i] = &corev1.Pod{}
		return c.store.Get(background, podKey(set, i), storage.GetOptions{}, cached[i])
	}); err != nil {
		return nil, err
	}
	return func(i int) error {
		out := &corev1.Pod{}
		at := i % among
		err := c.store.GuaranteedUpdate(background, podKey(set, at), out, false, nil, touch(i), cached[at])
		cached[at] = out
		return err
	}, nil
}

func (c *child) remove(set string) func(i int) error {
	return func(i int) error {
		return c.store.Delete(background, podKey(set, i), &corev1.Pod{}, nil, storage.ValidateAllObjectFunc, nil, storage.DeleteOptions{})
	}
}

func (c *child) count(want int64) func(i int) error {
	return func(int) error {
		got, err := c.store.Count("/pods/")
		if err == nil && got != want {
			err = fmt.Errorf("count says %d, want %d", got, want)
		}
		return err
	}
}

// list reads everything, in pages of limit when it is not 0.
func (c *child) list(limit int64, want int) func(i int) error {
	return func(int) error {
		options := storage.ListOptions{Recursive: true, Predicate: storage.Everything}
		options.Predicate.Limit = limit
		total := 0
		for {
			out := &corev1.PodList{}
			if err := c.store.GetList(background, "/pods", options, out); err != nil {
				return err
			}
			total += len(out.Items)
			if out.Continue == "" {
				break
			}
			options.Predicate.Continue = out.Continue
		}
		if total != want {
			return fmt.Errorf("the list has %d pods, want %d", total, want)
		}
		return nil
	}
}

func optionsFrom(rv string) storage.ListOptions {
	return storage.ListOptions{ResourceVersion: rv, Recursive: true, Predicate: storage.Everything}
}

// revision is the resource version of the collection now.
func (c *child) revision() (string, error) {
	out := &corev1.PodList{}
	options := optionsFrom("")
	options.Predicate.Limit = 1
	if err := c.store.GetList(background, "/pods", options, out); err != nil {
		return "", err
	}
	return out.ListMeta.ResourceVersion, nil
}
