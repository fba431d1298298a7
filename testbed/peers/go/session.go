package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"

	pb "dapr-pluggable/testbed/peers/go/components"
)

// caller does what it reads, a command a line, and reports each as a line of JSON when it is done.
type caller struct {
	target
	connection *grpc.ClientConn
	broker     pb.PubSubClient
	store      pb.StateStoreClient
	stream     *pulling
}

// session acts for one runtime that lives as long as its input.
func session(target target, commands io.Reader) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	// A channel without calls gives up its connection after this; grpc-go's own default is half an hour.
	connection, err := target.dial(ctx, grpc.WithIdleTimeout(200*time.Millisecond))
	if err != nil {
		return err
	}
	defer connection.Close()
	c := &caller{target: target, connection: connection,
		broker: pb.NewPubSubClient(connection), store: pb.NewStateStoreClient(connection)}
	lines := bufio.NewScanner(commands)
	for lines.Scan() {
		line := map[string]any{"did": lines.Text()}
		if result, err := c.do(ctx, strings.Fields(lines.Text())); err != nil {
			line["error"] = err.Error()
		} else if result != "" {
			line["result"] = result
		}
		report(line)
	}
	return lines.Err()
}

func (c *caller) do(ctx context.Context, words []string) (string, error) {
	calls, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	words = append(words, make([]string, 3)...)
	switch words[0] {
	case "init":
		return "", c.init(calls)
	case "pull":
		return "", c.pull(ctx, words[1])
	case "leave":
		c.stream.end()
		return "", c.stream.expectEnd(1)
	case "pause":
		_, err := c.broker.Pause(calls, &pb.PauseRequest{})
		return "", err
	case "resume":
		_, err := c.broker.Resume(calls, &pb.ResumeRequest{})
		return "", err
	case "publish":
		_, err := c.broker.Publish(calls, &pb.PublishRequest{Topic: words[1], Data: []byte(words[2])})
		return "", err
	case "set":
		_, err := c.store.Set(calls, &pb.SetRequest{Key: words[1], Value: []byte(words[2])})
		return "", err
	case "get":
		answer, err := c.store.Get(calls, &pb.GetRequest{Key: words[1]})
		return string(answer.GetData()), err
	case "idle":
		return "", c.idle(calls)
	default:
		return "", fmt.Errorf("%q is no command", words[0])
	}
}

// init opens what a pub/sub and a state resource of this name would open.
func (c *caller) init(ctx context.Context) error {
	metadata := &pb.MetadataRequest{Properties: c.metadata}
	if _, err := c.store.Init(ctx, &pb.InitRequest{Metadata: metadata}); err != nil {
		return err
	}
	_, err := c.broker.Init(ctx, &pb.PubSubInitRequest{Metadata: metadata})
	return err
}

// pull subscribes, reports each message and acknowledges it.
func (c *caller) pull(ctx context.Context, topic string) error {
	stream, err := pull(ctx, c.broker, topic)
	if err != nil {
		return err
	}
	own := &pulling{BidiStreamingClient: stream.BidiStreamingClient, end: stream.end,
		messages: make(chan *pb.PullMessagesResponse)}
	c.stream = own
	go func() {
		defer close(own.messages)
		for message := range stream.messages {
			report(map[string]any{"message": string(message.GetData())})
			if err := stream.answer(message.GetId(), ""); err != nil {
				break
			}
		}
		own.ended = stream.ended
		report(map[string]any{"ended": fmt.Sprint(own.ended)})
	}()
	return nil
}

// idle waits until the channel has given up its connection for want of calls.
func (c *caller) idle(ctx context.Context) error {
	for {
		state := c.connection.GetState()
		if state == connectivity.Idle {
			return nil
		}
		if !c.connection.WaitForStateChange(ctx, state) {
			return fmt.Errorf("the channel is still %v", state)
		}
	}
}
