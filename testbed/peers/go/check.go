package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	pb "dapr-pluggable/testbed/peers/go/components"
)

// checker calls a component as Dapr's runtime does and reports what it finds, a line a check.
type checker struct {
	target
	// Everything that a run makes is named after its instance, so runs do not meet.
	ctx    context.Context
	failed []string
}

func check(target target, blocks []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	defer cancel()
	c := &checker{target: target, ctx: ctx}
	c.run("services", func() error { return c.services(blocks) })
	for _, block := range blocks {
		checks, known := map[string]func(*grpc.ClientConn){
			"state": c.state, "pubsub": c.pubsub, "binding": c.binding, "secret": c.secret,
		}[block]
		if !known {
			return fmt.Errorf("%q is no building block", block)
		}
		// A connection for each building block, as Dapr's runtime has it.
		connection, err := target.dial(ctx)
		if err != nil {
			return err
		}
		checks(connection)
		if err := connection.Close(); err != nil {
			return err
		}
	}
	if len(c.failed) > 0 {
		return fmt.Errorf("failed: %v", c.failed)
	}
	return nil
}

func (c *checker) run(name string, check func() error) {
	err := check()
	line := map[string]any{"check": name, "ok": err == nil}
	if err != nil {
		line["error"] = err.Error()
		c.failed = append(c.failed, name)
	}
	report(line)
}

// services checks what the socket says of itself, on the connection of discovery.
func (c *checker) services(blocks []string) error {
	connection, err := c.dial(c.ctx)
	if err != nil {
		return err
	}
	defer connection.Close()
	found, err := services(c.ctx, connection)
	if err != nil {
		return err
	}
	main := map[string][]string{
		"state": {pb.StateStore_ServiceDesc.ServiceName, pb.TransactionalStateStore_ServiceDesc.ServiceName,
			pb.QueriableStateStore_ServiceDesc.ServiceName},
		"pubsub":  {pb.PubSub_ServiceDesc.ServiceName},
		"binding": {pb.InputBinding_ServiceDesc.ServiceName, pb.OutputBinding_ServiceDesc.ServiceName},
		"secret":  {pb.SecretStore_ServiceDesc.ServiceName},
	}
	for _, block := range blocks {
		for _, service := range main[block] {
			if !slices.Contains(found, service) {
				return fmt.Errorf("%s is not among %v", service, found)
			}
			answer, err := grpc_health_v1.NewHealthClient(connection).Check(c.ctx,
				&grpc_health_v1.HealthCheckRequest{Service: service})
			if err != nil {
				return err
			}
			if answer.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
				return fmt.Errorf("the health of %s is %v", service, answer.GetStatus())
			}
		}
	}
	err = connection.Invoke(c.ctx, "/dapr.proto.components.v1.StateStore/Unheard", &pb.PingRequest{}, &pb.PingResponse{})
	return expectCode(err, codes.Unimplemented)
}

// meta is what Init gets.
func (c *checker) meta() *pb.MetadataRequest {
	return &pb.MetadataRequest{Properties: c.metadata}
}

// parallel runs a check many times at once.
func parallel(width int, check func(index int) error) error {
	outcomes := make([]error, width)
	var group sync.WaitGroup
	for index := range width {
		group.Add(1)
		go func() {
			defer group.Done()
			outcomes[index] = check(index)
		}()
	}
	group.Wait()
	return errors.Join(outcomes...)
}

func expectCode(err error, expected codes.Code) error {
	if code := status.Code(err); code != expected {
		return fmt.Errorf("%v, expected %v: %v", code, expected, err)
	}
	return nil
}

func expectEqual[T comparable](what string, found, expected T) error {
	if found != expected {
		return fmt.Errorf("%s is %v, expected %v", what, found, expected)
	}
	return nil
}

func expectFeatures(found []string, expected ...string) error {
	for _, feature := range expected {
		if !slices.Contains(found, feature) {
			return fmt.Errorf("%s is not among the features %v", feature, found)
		}
	}
	return nil
}

// payload is large, and not the same byte throughout.
func payload() []byte {
	data := make([]byte, 8<<20)
	for index := range data {
		data[index] = byte(index * 7 >> 3)
	}
	return data
}
