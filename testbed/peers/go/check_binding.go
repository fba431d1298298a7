package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	pb "dapr-pluggable/testbed/peers/go/components"
)

func (c *checker) binding(connection *grpc.ClientConn) {
	b := &bindingChecker{checker: c, input: pb.NewInputBindingClient(connection), output: pb.NewOutputBindingClient(connection)}
	c.run("binding init and operations", b.init)
	c.run("binding events and answers", b.events)
}

func (c *checker) secret(connection *grpc.ClientConn) {
	c.run("secrets", func() error { return c.secrets(pb.NewSecretStoreClient(connection)) })
}

type bindingChecker struct {
	*checker
	input  pb.InputBindingClient
	output pb.OutputBindingClient
}

func (b *bindingChecker) init() error {
	_, err := b.output.Invoke(b.ctx, &pb.InvokeRequest{Operation: "create"})
	if err := expectCode(err, codes.FailedPrecondition); err != nil {
		return err
	}
	if _, err := b.output.Init(b.ctx, &pb.OutputBindingInitRequest{Metadata: b.meta()}); err != nil {
		return err
	}
	if _, err := b.input.Init(b.ctx, &pb.InputBindingInitRequest{Metadata: b.meta()}); err != nil {
		return err
	}
	answer, err := b.output.ListOperations(b.ctx, &pb.ListOperationsRequest{})
	if err != nil {
		return err
	}
	if !slices.Contains(answer.GetOperations(), "create") {
		return fmt.Errorf("create is not among %v", answer.GetOperations())
	}
	_, unknown := b.output.Invoke(b.ctx, &pb.InvokeRequest{Operation: "explode"})
	if unknown == nil {
		return errors.New("an unknown operation was run")
	}
	_, output := b.output.Ping(b.ctx, &pb.PingRequest{})
	_, input := b.input.Ping(b.ctx, &pb.PingRequest{})
	return errors.Join(output, input)
}

// events refuses the first event once, and answers nothing at the first stream's end.
func (b *bindingChecker) events() error {
	if _, err := b.output.Invoke(b.ctx, &pb.InvokeRequest{Operation: "create", Data: []byte("event"),
		Metadata: map[string]string{"from": "go"}}); err != nil {
		return err
	}
	answers := []*pb.ReadRequest{
		{ResponseError: &pb.AckResponseError{Message: "not yet"}},
		nil,
		{ResponseData: []byte("handled")},
	}
	next := 0
	for next < len(answers) {
		ctx, cancel := context.WithTimeout(b.ctx, patience)
		stream, err := b.input.Read(ctx)
		for err == nil && next < len(answers) {
			var event *pb.ReadResponse
			if event, err = stream.Recv(); err != nil {
				break
			}
			if string(event.GetData()) != "event" || event.GetMetadata()["from"] != "go" {
				err = fmt.Errorf("the event is %v", event)
				break
			}
			answer := answers[next]
			next++
			if answer == nil {
				break
			}
			answer.MessageId = event.GetMessageId()
			err = stream.Send(answer)
		}
		if err == nil && next == len(answers) {
			err = b.quiet(stream)
		}
		cancel()
		if err != nil {
			return err
		}
	}
	return nil
}

// quiet fails when an event comes that was handled.
func (b *bindingChecker) quiet(stream grpc.BidiStreamingClient[pb.ReadRequest, pb.ReadResponse]) error {
	came := make(chan *pb.ReadResponse, 1)
	go func() {
		if event, err := stream.Recv(); err == nil {
			came <- event
		}
	}()
	select {
	case event := <-came:
		return fmt.Errorf("%v came again", event)
	case <-time.After(300 * time.Millisecond):
		return nil
	}
}

// secrets expects each entry of the metadata to be a secret.
func (c *checker) secrets(store pb.SecretStoreClient) error {
	if _, err := store.Init(c.ctx, &pb.SecretStoreInitRequest{Metadata: c.meta()}); err != nil {
		return err
	}
	if _, err := store.Features(c.ctx, &pb.FeaturesRequest{}); err != nil {
		return err
	}
	all, err := store.BulkGet(c.ctx, &pb.BulkGetSecretRequest{})
	if err != nil {
		return err
	}
	for key, value := range c.metadata {
		secret, err := store.Get(c.ctx, &pb.GetSecretRequest{Key: key})
		if err != nil {
			return err
		}
		if err := expectEqual("the secret "+key, secret.GetData()[key], value); err != nil {
			return err
		}
		if err := expectEqual("the secret "+key, all.GetData()[key].GetSecrets()[key], value); err != nil {
			return err
		}
	}
	_, err = store.Get(c.ctx, &pb.GetSecretRequest{Key: "no such secret"})
	if err == nil {
		return errors.New("a secret that does not exist was given")
	}
	_, err = store.Ping(c.ctx, &pb.PingRequest{})
	return err
}
