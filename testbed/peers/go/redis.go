package main

import (
	"context"
	"strconv"

	"github.com/redis/go-redis/v9"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Defaults of Dapr's own component.
const (
	queueDepth  = 100
	concurrency = 10
)

// remote is a Redis server, and how one instance uses it.
type remote struct {
	client *redis.Client
	// Both the group and the consumer.
	consumer string
	// How many messages are with the app at once.
	concurrency int
}

// connect opens the Redis of an Init's metadata for an instance. Who opens it again gets what it then asks for.
func connect(ctx context.Context, w *worlds, properties map[string]string) error {
	host := properties["redisHost"]
	if host == "" {
		return status.Error(codes.InvalidArgument, "redisHost is missing: expected HOST:PORT")
	}
	workers := concurrency
	if text, given := properties["concurrency"]; given {
		number, err := strconv.Atoi(text)
		if err != nil || number < 1 {
			return status.Errorf(codes.InvalidArgument, "concurrency is %q: expected a whole number from 1", text)
		}
		workers = number
	}
	client := redis.NewClient(&redis.Options{Addr: host})
	if err := client.Ping(ctx).Err(); err != nil {
		client.Close()
		return unavailable(err)
	}
	world := w.open(ctx)
	world.lock.Lock()
	defer world.lock.Unlock()
	// An earlier client stays: streams may still read from it.
	world.remote = &remote{client: client, consumer: properties["consumerID"], concurrency: workers}
	return nil
}

func remoteOf(ctx context.Context, w *worlds) (*remote, error) {
	return of(ctx, w, func(w *world) (*remote, bool) { return w.remote, w.remote != nil })
}

// pinged is whether the Redis of an instance answers; before Init there is none to ask.
func pinged(ctx context.Context, w *worlds) error {
	remote, err := remoteOf(ctx, w)
	if err != nil {
		return nil
	}
	return unavailable(remote.client.Ping(ctx).Err())
}

func unavailable(err error) error {
	if err == nil {
		return nil
	}
	return status.Error(codes.Unavailable, err.Error())
}
