package main

import (
	"context"
	"maps"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "dapr-pluggable/testbed/peers/go/components"
)

// inputServer reads what outputServer has created under the same instance name.
type inputServer struct {
	pb.UnimplementedInputBindingServer
	worlds *worlds
}

func (s inputServer) Init(ctx context.Context, request *pb.InputBindingInitRequest) (*pb.InputBindingInitResponse, error) {
	noteInit(ctx, "input", request.GetMetadata().GetProperties())
	world := s.worlds.open(ctx)
	world.lock.Lock()
	defer world.lock.Unlock()
	world.input = true
	return &pb.InputBindingInitResponse{}, nil
}

func (s inputServer) Read(stream grpc.BidiStreamingServer[pb.ReadRequest, pb.ReadResponse]) error {
	events, err := of(stream.Context(), s.worlds, func(w *world) (*group, bool) { return w.events, w.input })
	if err != nil {
		return err
	}
	return events.deliver(stream.Context(), delivery{
		open: func(context.Context) error { return nil },
		send: func(event item) error {
			return stream.Send(&pb.ReadResponse{MessageId: event.id, Data: event.data, Metadata: event.metadata})
		},
		answer: func() (string, bool, error) {
			request, err := stream.Recv()
			return request.GetMessageId(), request.GetResponseError() == nil, err
		},
	})
}

func (s inputServer) Ping(context.Context, *pb.PingRequest) (*pb.PingResponse, error) {
	return &pb.PingResponse{}, nil
}

type outputServer struct {
	pb.UnimplementedOutputBindingServer
	worlds *worlds
}

func (s outputServer) Init(ctx context.Context, request *pb.OutputBindingInitRequest) (*pb.OutputBindingInitResponse, error) {
	noteInit(ctx, "output", request.GetMetadata().GetProperties())
	world := s.worlds.open(ctx)
	world.lock.Lock()
	defer world.lock.Unlock()
	world.output = true
	return &pb.OutputBindingInitResponse{}, nil
}

func (s outputServer) Invoke(ctx context.Context, request *pb.InvokeRequest) (*pb.InvokeResponse, error) {
	events, err := s.events(ctx)
	if err != nil {
		return nil, err
	}
	if request.GetOperation() != "create" {
		return nil, status.Errorf(codes.InvalidArgument, "operation %q: expected create", request.GetOperation())
	}
	events.add(item{data: request.GetData(), metadata: request.GetMetadata()})
	return &pb.InvokeResponse{}, nil
}

func (s outputServer) ListOperations(ctx context.Context, _ *pb.ListOperationsRequest) (*pb.ListOperationsResponse, error) {
	_, err := s.events(ctx)
	return &pb.ListOperationsResponse{Operations: []string{"create"}}, err
}

func (s outputServer) Ping(context.Context, *pb.PingRequest) (*pb.PingResponse, error) {
	return &pb.PingResponse{}, nil
}

func (s outputServer) events(ctx context.Context) (*group, error) {
	return of(ctx, s.worlds, func(w *world) (*group, bool) { return w.events, w.output })
}

// secretServer takes every entry of its metadata for a secret.
type secretServer struct {
	pb.UnimplementedSecretStoreServer
	worlds *worlds
}

func (s secretServer) secrets(ctx context.Context) (map[string]string, error) {
	return of(ctx, s.worlds, func(w *world) (map[string]string, bool) { return w.secrets, w.secrets != nil })
}

func (s secretServer) Init(ctx context.Context, request *pb.SecretStoreInitRequest) (*pb.SecretStoreInitResponse, error) {
	noteInit(ctx, "secret", request.GetMetadata().GetProperties())
	world := s.worlds.open(ctx)
	world.lock.Lock()
	defer world.lock.Unlock()
	world.secrets = map[string]string{}
	maps.Copy(world.secrets, request.GetMetadata().GetProperties())
	return &pb.SecretStoreInitResponse{}, nil
}

func (s secretServer) Features(ctx context.Context, _ *pb.FeaturesRequest) (*pb.FeaturesResponse, error) {
	_, err := s.secrets(ctx)
	return &pb.FeaturesResponse{}, err
}

func (s secretServer) Get(ctx context.Context, request *pb.GetSecretRequest) (*pb.GetSecretResponse, error) {
	secrets, err := s.secrets(ctx)
	if err != nil {
		return nil, err
	}
	value, found := secrets[request.GetKey()]
	if !found {
		return nil, status.Errorf(codes.NotFound, "there is no secret %q", request.GetKey())
	}
	return &pb.GetSecretResponse{Data: map[string]string{request.GetKey(): value}}, nil
}

func (s secretServer) BulkGet(ctx context.Context, _ *pb.BulkGetSecretRequest) (*pb.BulkGetSecretResponse, error) {
	secrets, err := s.secrets(ctx)
	answer := &pb.BulkGetSecretResponse{Data: map[string]*pb.SecretResponse{}}
	for key, value := range secrets {
		answer.Data[key] = &pb.SecretResponse{Secrets: map[string]string{key: value}}
	}
	return answer, err
}

func (s secretServer) Ping(context.Context, *pb.PingRequest) (*pb.PingResponse, error) {
	return &pb.PingResponse{}, nil
}
