package main

import (
	"context"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"

	pb "dapr-pluggable/testbed/peers/go/components"
)

// serve is a component of its own on bare grpc-go: everything in memory, one world for each instance name.
func serve(socket string) error {
	worlds := newWorlds()
	return listen(socket, func(server *grpc.Server) {
		pb.RegisterStateStoreServer(server, stateServer{worlds: worlds})
		pb.RegisterTransactionalStateStoreServer(server, transactionServer{worlds: worlds})
		pb.RegisterTransactionalStoreMultiMaxSizeServer(server, transactionLimitServer{})
		pb.RegisterPubSubServer(server, pubsubServer{worlds: worlds})
		pb.RegisterInputBindingServer(server, inputServer{worlds: worlds})
		pb.RegisterOutputBindingServer(server, outputServer{worlds: worlds})
		pb.RegisterSecretStoreServer(server, secretServer{worlds: worlds})
	})
}

// serveRedis is a state store and a pub/sub in Redis, with the commands of Dapr's own component.
func serveRedis(socket string) error {
	worlds := newWorlds()
	return listen(socket, func(server *grpc.Server) {
		pb.RegisterStateStoreServer(server, redisStateServer{worlds: worlds})
		pb.RegisterPubSubServer(server, redisPubsubServer{worlds: worlds})
	})
}

// listen serves what is registered until it is told to stop.
func listen(socket string, register func(*grpc.Server)) error {
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	server := grpc.NewServer(grpc.MaxRecvMsgSize(largest))
	register(server)
	reflection.Register(server)
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())

	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	go func() {
		<-signals
		// Streams do not end by themselves.
		time.AfterFunc(time.Second, server.Stop)
		server.GracefulStop()
	}()
	report(map[string]any{"serving": socket})
	return server.Serve(listener)
}

// worlds are the instances by their names.
type worlds struct {
	lock   sync.RWMutex
	byName map[string]*world
}

// world is what the building blocks of one instance name share. A block is there once it had its Init.
type world struct {
	lock    sync.Mutex
	store   *store
	broker  *broker
	events  *group
	secrets map[string]string
	remote  *remote
	// Whether the bindings had their Init.
	input, output bool
}

func newWorlds() *worlds { return &worlds{byName: map[string]*world{}} }

// open gives the world of a call, made when it is not there yet.
func (w *worlds) open(ctx context.Context) *world {
	name := instance(ctx)
	w.lock.Lock()
	defer w.lock.Unlock()
	found := w.byName[name]
	if found == nil {
		found = &world{events: newGroup()}
		w.byName[name] = found
	}
	return found
}

// of gives what a block of the caller's instance has, if it had its Init.
func of[T any](ctx context.Context, w *worlds, part func(*world) (T, bool)) (T, error) {
	name := instance(ctx)
	w.lock.RLock()
	found := w.byName[name]
	w.lock.RUnlock()
	if found != nil {
		found.lock.Lock()
		defer found.lock.Unlock()
		if part, opened := part(found); opened {
			return part, nil
		}
	}
	var none T
	return none, status.Errorf(codes.FailedPrecondition, "no Init received for %q", name)
}

func instance(ctx context.Context) string {
	values := metadata.ValueFromIncomingContext(ctx, instanceHeader)
	if len(values) == 0 {
		return ""
	}
	return values[0]
}
