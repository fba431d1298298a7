package main

import (
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"sync"
	"time"
)

// How many may be without an answer on one stream, and how long a refused one waits.
const (
	window    = 64
	redeliver = 100 * time.Millisecond
)

// item is a message of a topic, or an event of a binding.
type item struct {
	id          string
	data        []byte
	metadata    map[string]string
	contentType string
}

// group is a queue: each item goes to one stream, and again until it is accepted.
type group struct {
	lock    sync.Mutex
	waiting []item
	last    uint64
	// Closed and replaced when there is something new.
	changed chan struct{}
}

func newGroup() *group { return &group{changed: make(chan struct{})} }

func (g *group) add(new item) {
	g.lock.Lock()
	defer g.lock.Unlock()
	if new.id == "" {
		g.last++
		new.id = strconv.FormatUint(g.last, 10)
	}
	g.waiting = append(g.waiting, new)
	g.wake()
}

// giveBack puts what nobody answered in front again.
func (g *group) giveBack(items []item) {
	g.lock.Lock()
	defer g.lock.Unlock()
	g.waiting = slices.Concat(items, g.waiting)
	g.wake()
}

func (g *group) wake() {
	close(g.changed)
	g.changed = make(chan struct{})
}

func (g *group) next(ctx context.Context) (item, error) {
	for {
		g.lock.Lock()
		if len(g.waiting) > 0 {
			first := g.waiting[0]
			g.waiting = g.waiting[1:]
			g.lock.Unlock()
			return first, nil
		}
		changed := g.changed
		g.lock.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return item{}, ctx.Err()
		}
	}
}

// delivery is one stream: what holds it back, how it sends, and the next answer (the id, whether it is accepted).
type delivery struct {
	open   func(context.Context) error
	send   func(item) error
	answer func() (string, bool, error)
}

// deliver sends until the stream ends. What then has no answer is given back.
func (g *group) deliver(ctx context.Context, to delivery) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var lock sync.Mutex
	var unanswered []item
	slots := make(chan struct{}, window)
	sending := make(chan error, 1)
	go func() {
		defer cancel()
		sending <- g.send(ctx, to, slots, func(message item) {
			lock.Lock()
			defer lock.Unlock()
			unanswered = append(unanswered, message)
		})
	}()
	ended := g.answers(to, slots, func(id string) (item, bool) {
		lock.Lock()
		defer lock.Unlock()
		place := slices.IndexFunc(unanswered, func(message item) bool { return message.id == id })
		if place < 0 {
			return item{}, false
		}
		message := unanswered[place]
		unanswered = slices.Delete(unanswered, place, place+1)
		return message, true
	})
	cancel()
	<-sending
	g.giveBack(unanswered)
	if errors.Is(ended, io.EOF) {
		return nil
	}
	return ended
}

func (g *group) send(ctx context.Context, to delivery, slots chan struct{}, sent func(item)) error {
	for {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		message, err := g.next(ctx)
		if err != nil {
			return err
		}
		sent(message)
		if err := to.open(ctx); err != nil {
			return err
		}
		if err := to.send(message); err != nil {
			return err
		}
	}
}

func (g *group) answers(to delivery, slots chan struct{}, take func(string) (item, bool)) error {
	for {
		id, accepted, err := to.answer()
		if err != nil {
			return err
		}
		message, known := take(id)
		if !known {
			continue
		}
		<-slots
		if !accepted {
			time.AfterFunc(redeliver, func() { g.add(message) })
		}
	}
}
