package main

import (
	"context"
	"fmt"
	"sort"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	reflection "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
)

const (
	instanceHeader = "x-component-instance"
	// What large messages need. Without it a client takes 4 MiB, as Dapr's runtime does.
	largest = 16 << 20
	// Long enough for a slow machine; what takes longer has failed.
	patience = 30 * time.Second
)

// target is the component that a client is about.
type target struct {
	socket   string
	instance string
	metadata properties
}

// dial connects as Dapr's runtime does: blocking, over unix://, with the instance in a header of every call.
func (t target) dial(ctx context.Context, extra ...grpc.DialOption) (*grpc.ClientConn, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	options := append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithBlock(),
		grpc.FailOnNonTempDialError(true),
		grpc.WithUnaryInterceptor(t.unary),
		grpc.WithStreamInterceptor(t.stream),
	}, extra...)
	connection, err := grpc.DialContext(ctx, "unix://"+t.socket, options...)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", t.socket, err)
	}
	return connection, nil
}

func (t target) unary(ctx context.Context, method string, request, answer any, connection *grpc.ClientConn,
	invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
	return invoke(metadata.AppendToOutgoingContext(ctx, instanceHeader, t.instance), method, request, answer, connection, options...)
}

func (t target) stream(ctx context.Context, description *grpc.StreamDesc, connection *grpc.ClientConn, method string,
	open grpc.Streamer, options ...grpc.CallOption) (grpc.ClientStream, error) {
	return open(metadata.AppendToOutgoingContext(ctx, instanceHeader, t.instance), description, connection, method, options...)
}

// services asks by reflection v1alpha, the only one that Dapr's runtime asks.
func services(ctx context.Context, connection *grpc.ClientConn) ([]string, error) {
	stream, err := reflection.NewServerReflectionClient(connection).ServerReflectionInfo(ctx)
	if err != nil {
		return nil, err
	}
	request := &reflection.ServerReflectionRequest{
		MessageRequest: &reflection.ServerReflectionRequest_ListServices{ListServices: "*"},
	}
	if err := stream.Send(request); err != nil {
		return nil, err
	}
	answer, err := stream.Recv()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, service := range answer.GetListServicesResponse().GetService() {
		names = append(names, service.GetName())
	}
	sort.Strings(names)
	return names, stream.CloseSend()
}
