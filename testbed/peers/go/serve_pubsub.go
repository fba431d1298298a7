package main

import (
	"context"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "dapr-pluggable/testbed/peers/go/components"
)

// broker has a queue for each topic and consumer group.
type broker struct {
	lock     sync.Mutex
	consumer string
	groups   map[string]*group
	// Closed and replaced by every change.
	changed chan struct{}
	paused  bool
}

// groupOf gives the queue of the consumer group that the last Init named. A topic keeps nothing before somebody asked.
func (b *broker) groupOf(topic string) *group {
	b.lock.Lock()
	defer b.lock.Unlock()
	name := topic + "\x00" + b.consumer
	if b.groups[name] == nil {
		b.groups[name] = newGroup()
	}
	return b.groups[name]
}

func (b *broker) publish(topic string, message item) {
	b.groupOf(topic).add(message)
}

func (b *broker) pause(paused bool) {
	b.lock.Lock()
	defer b.lock.Unlock()
	b.paused = paused
	close(b.changed)
	b.changed = make(chan struct{})
}

// open waits out a pause.
func (b *broker) open(ctx context.Context) error {
	for {
		b.lock.Lock()
		paused, changed := b.paused, b.changed
		b.lock.Unlock()
		if !paused {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

type pubsubServer struct {
	pb.UnimplementedPubSubServer
	worlds *worlds
}

func (s pubsubServer) broker(ctx context.Context) (*broker, error) {
	return of(ctx, s.worlds, func(w *world) (*broker, bool) { return w.broker, w.broker != nil })
}

func (s pubsubServer) Init(ctx context.Context, request *pb.PubSubInitRequest) (*pb.PubSubInitResponse, error) {
	noteInit(ctx, "pubsub", request.GetMetadata().GetProperties())
	world := s.worlds.open(ctx)
	world.lock.Lock()
	defer world.lock.Unlock()
	if world.broker == nil {
		world.broker = &broker{groups: map[string]*group{}, changed: make(chan struct{})}
	}
	world.broker.lock.Lock()
	world.broker.consumer = request.GetMetadata().GetProperties()["consumerID"]
	world.broker.lock.Unlock()
	world.broker.pause(false)
	return &pb.PubSubInitResponse{}, nil
}

func (s pubsubServer) Features(ctx context.Context, _ *pb.FeaturesRequest) (*pb.FeaturesResponse, error) {
	_, err := s.broker(ctx)
	return &pb.FeaturesResponse{Features: []string{"BULK_PUBSUB", "BULK_SUBSCRIBE_IMMEDIATE"}}, err
}

func (s pubsubServer) Publish(ctx context.Context, request *pb.PublishRequest) (*pb.PublishResponse, error) {
	broker, err := s.broker(ctx)
	if err != nil {
		return nil, err
	}
	if request.GetTopic() == "" {
		return nil, status.Error(codes.InvalidArgument, "the topic is empty")
	}
	broker.publish(request.GetTopic(), item{
		data: request.GetData(), metadata: request.GetMetadata(), contentType: request.GetContentType()})
	return &pb.PublishResponse{}, nil
}

func (s pubsubServer) BulkPublish(ctx context.Context, request *pb.BulkPublishRequest) (*pb.BulkPublishResponse, error) {
	broker, err := s.broker(ctx)
	if err != nil {
		return nil, err
	}
	for _, entry := range request.GetEntries() {
		broker.publish(request.GetTopic(), item{
			data: entry.GetEvent(), metadata: entry.GetMetadata(), contentType: entry.GetContentType()})
	}
	return &pb.BulkPublishResponse{}, nil
}

func (s pubsubServer) PullMessages(stream grpc.BidiStreamingServer[pb.PullMessagesRequest, pb.PullMessagesResponse]) error {
	broker, err := s.broker(stream.Context())
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
	return broker.groupOf(topic).deliver(stream.Context(), delivery{
		open: broker.open,
		send: func(message item) error {
			return stream.Send(&pb.PullMessagesResponse{Id: message.id, TopicName: topic, Data: message.data,
				Metadata: message.metadata, ContentType: message.contentType})
		},
		answer: func() (string, bool, error) {
			request, err := stream.Recv()
			return request.GetAckMessageId(), request.GetAckError() == nil, err
		},
	})
}

func (s pubsubServer) Pause(ctx context.Context, _ *pb.PauseRequest) (*pb.PauseResponse, error) {
	broker, err := s.broker(ctx)
	if err == nil {
		broker.pause(true)
	}
	return &pb.PauseResponse{}, err
}

func (s pubsubServer) Resume(ctx context.Context, _ *pb.ResumeRequest) (*pb.ResumeResponse, error) {
	broker, err := s.broker(ctx)
	if err == nil {
		broker.pause(false)
	}
	return &pb.ResumeResponse{}, err
}

func (s pubsubServer) Ping(context.Context, *pb.PingRequest) (*pb.PingResponse, error) {
	return &pb.PingResponse{}, nil
}
