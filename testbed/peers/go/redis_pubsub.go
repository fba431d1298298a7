package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "dapr-pluggable/testbed/peers/go/components"
)

// How long a read waits before it looks whether anybody still wants messages.
const readBlock = time.Second

// redisPubsubServer does one command for each message, as Dapr's own component. It claims nothing that others left behind.
type redisPubsubServer struct {
	pb.UnimplementedPubSubServer
	worlds *worlds
}

func (s redisPubsubServer) Init(ctx context.Context, request *pb.PubSubInitRequest) (*pb.PubSubInitResponse, error) {
	return &pb.PubSubInitResponse{}, connect(ctx, s.worlds, request.GetMetadata().GetProperties())
}

func (s redisPubsubServer) Features(ctx context.Context, _ *pb.FeaturesRequest) (*pb.FeaturesResponse, error) {
	_, err := remoteOf(ctx, s.worlds)
	return &pb.FeaturesResponse{}, err
}

func (s redisPubsubServer) Publish(ctx context.Context, request *pb.PublishRequest) (*pb.PublishResponse, error) {
	remote, err := remoteOf(ctx, s.worlds)
	if err != nil {
		return nil, err
	}
	if request.GetTopic() == "" {
		return nil, status.Error(codes.InvalidArgument, "the topic is empty")
	}
	fields := map[string]any{"data": request.GetData()}
	if metadata := request.GetMetadata(); metadata != nil {
		text, err := json.Marshal(metadata)
		if err != nil {
			return nil, status.Error(codes.InvalidArgument, err.Error())
		}
		fields["metadata"] = text
	}
	err = remote.client.XAdd(ctx, &redis.XAddArgs{Stream: request.GetTopic(), Values: fields}).Err()
	return &pb.PublishResponse{}, unavailable(err)
}

func (s redisPubsubServer) Ping(ctx context.Context, _ *pb.PingRequest) (*pb.PingResponse, error) {
	return &pb.PingResponse{}, pinged(ctx, s.worlds)
}

func (s redisPubsubServer) PullMessages(stream grpc.BidiStreamingServer[pb.PullMessagesRequest, pb.PullMessagesResponse]) error {
	remote, err := remoteOf(stream.Context(), s.worlds)
	if err != nil {
		return err
	}
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	topic := first.GetTopic().GetName()
	if topic == "" {
		return status.Error(codes.InvalidArgument, "the first request names no topic")
	}
	err = remote.client.XGroupCreateMkStream(stream.Context(), topic, remote.consumer, "0").Err()
	if err != nil && !strings.HasPrefix(err.Error(), "BUSYGROUP") {
		return unavailable(err)
	}
	ctx, cancel := context.WithCancel(stream.Context())
	p := &puller{remote: remote, topic: topic, stream: stream, queue: make(chan redis.XMessage, queueDepth), waiting: map[string]chan struct{}{}}
	var work sync.WaitGroup
	work.Add(1 + remote.concurrency)
	go func() {
		defer work.Done()
		p.read(ctx)
	}()
	for range remote.concurrency {
		go func() {
			defer work.Done()
			p.work(ctx)
		}()
	}
	ended := p.answers()
	cancel()
	work.Wait()
	return ended
}

// puller is one stream of messages: who reads puts them into a queue, each worker sends one and waits for its answer.
type puller struct {
	remote *remote
	topic  string
	stream grpc.BidiStreamingServer[pb.PullMessagesRequest, pb.PullMessagesResponse]
	queue  chan redis.XMessage
	// A stream takes one message at a time.
	sending sync.Mutex
	lock    sync.Mutex
	waiting map[string]chan struct{}
}

func (p *puller) read(ctx context.Context) {
	for ctx.Err() == nil {
		streams, err := p.remote.client.XReadGroup(ctx, &redis.XReadGroupArgs{
			Group: p.remote.consumer, Consumer: p.remote.consumer, Streams: []string{p.topic, ">"}, Count: queueDepth, Block: readBlock,
		}).Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			report(map[string]any{"failed": err.Error()})
			time.Sleep(100 * time.Millisecond)
		}
		for _, stream := range streams {
			for _, message := range stream.Messages {
				select {
				case p.queue <- message:
				case <-ctx.Done():
					return
				}
			}
		}
	}
}

func (p *puller) work(ctx context.Context) {
	for {
		select {
		case message := <-p.queue:
			if !p.deliver(ctx, message) {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// deliver is done with a message once it has an answer, whatever that is: a refused one does not come again.
func (p *puller) deliver(ctx context.Context, message redis.XMessage) bool {
	response := &pb.PullMessagesResponse{Id: message.ID, TopicName: p.topic}
	if data, is := message.Values["data"].(string); is {
		response.Data = []byte(data)
	}
	if text, is := message.Values["metadata"].(string); is {
		// What cannot be read is left out.
		_ = json.Unmarshal([]byte(text), &response.Metadata)
	}
	answered := make(chan struct{})
	p.lock.Lock()
	p.waiting[message.ID] = answered
	p.lock.Unlock()
	p.sending.Lock()
	err := p.stream.Send(response)
	p.sending.Unlock()
	if err != nil {
		return false
	}
	select {
	case <-answered:
	case <-ctx.Done():
		return false
	}
	if err := p.remote.client.XAck(ctx, p.topic, p.remote.consumer, message.ID).Err(); err != nil {
		report(map[string]any{"failed": err.Error()})
	}
	return true
}

// answers takes them until the stream ends.
func (p *puller) answers() error {
	for {
		request, err := p.stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		p.lock.Lock()
		answered := p.waiting[request.GetAckMessageId()]
		delete(p.waiting, request.GetAckMessageId())
		p.lock.Unlock()
		if answered != nil {
			close(answered)
		}
	}
}
