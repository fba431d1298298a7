package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	pb "dapr-pluggable/testbed/peers/go/components"
)

func (c *checker) pubsub(connection *grpc.ClientConn) {
	p := &pubsubChecker{checker: c, broker: pb.NewPubSubClient(connection)}
	for _, check := range []struct {
		name string
		run  func() error
	}{
		{"pubsub before init", p.beforeInit},
		{"pubsub init and features", p.init},
		{"pubsub acks and nacks", p.answers},
		{"pubsub bulk publish", p.bulk},
		{"pubsub cancel and deadline", p.endings},
		{"pubsub end of a stream", p.halfClose},
		{"pubsub pause and resume", p.pause},
		{"pubsub 8 MB", p.large},
	} {
		c.run(check.name, check.run)
	}
}

type pubsubChecker struct {
	*checker
	broker pb.PubSubClient
}

func (p *pubsubChecker) beforeInit() error {
	if _, err := p.broker.Ping(p.ctx, &pb.PingRequest{}); err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	_, err := p.broker.Publish(p.ctx, &pb.PublishRequest{Topic: "t"})
	return expectCode(err, codes.FailedPrecondition)
}

func (p *pubsubChecker) init() error {
	if _, err := p.broker.Init(p.ctx, &pb.PubSubInitRequest{Metadata: p.meta()}); err != nil {
		return err
	}
	features, err := p.broker.Features(p.ctx, &pb.FeaturesRequest{})
	if err != nil {
		return err
	}
	return expectFeatures(features.GetFeatures(), "BULK_SUBSCRIBE_IMMEDIATE")
}

func (p *pubsubChecker) answers() error {
	topic := p.topic("answers")
	stream, err := p.pull(p.ctx, topic)
	if err != nil {
		return err
	}
	defer stream.end()
	if err := p.publish(topic, "one", "two", "three"); err != nil {
		return err
	}
	seen := map[string]int{}
	for len(seen) < 3 || seen["two"] < 2 {
		message, err := stream.next()
		if err != nil {
			return fmt.Errorf("after %v: %w", seen, err)
		}
		if message.GetTopicName() != topic || message.GetContentType() != "text/plain" ||
			message.GetMetadata()["from"] != "go" {
			return fmt.Errorf("the message is %v", message)
		}
		text := string(message.GetData())
		seen[text]++
		reason := ""
		if text == "two" && seen[text] == 1 {
			reason = "not yet"
		}
		if err := stream.answer(message.GetId(), reason); err != nil {
			return err
		}
	}
	// A word too much changes nothing.
	if err := stream.answer("no such id", ""); err != nil {
		return err
	}
	return stream.silence()
}

func (p *pubsubChecker) bulk() error {
	topic := p.topic("bulk")
	stream, err := p.pull(p.ctx, topic)
	if err != nil {
		return err
	}
	defer stream.end()
	request := &pb.BulkPublishRequest{Topic: topic, PubsubName: p.instance}
	for index := range 10 {
		request.Entries = append(request.Entries, &pb.BulkMessageEntry{
			EntryId: fmt.Sprint("entry", index), Event: fmt.Append(nil, index), ContentType: "text/plain"})
	}
	answer, err := p.broker.BulkPublish(p.ctx, request)
	if err != nil {
		return err
	}
	if err := expectEqual("the number of failed entries", len(answer.GetFailedEntries()), 0); err != nil {
		return err
	}
	for index := range request.GetEntries() {
		if err := stream.expect(fmt.Sprint(index)); err != nil {
			return err
		}
	}
	return nil
}

// endings leaves a message unanswered, twice; it comes again each time.
func (p *pubsubChecker) endings() error {
	topic := p.topic("endings")
	for _, ending := range []codes.Code{codes.Canceled, codes.DeadlineExceeded} {
		ctx, cancel := context.WithCancel(p.ctx)
		if ending == codes.DeadlineExceeded {
			cancel()
			ctx, cancel = context.WithTimeout(p.ctx, 2*time.Second)
		}
		stream, err := p.pull(ctx, topic)
		if err != nil {
			cancel()
			return err
		}
		if ending == codes.Canceled {
			err = p.publish(topic, "again")
		}
		_, received := stream.next()
		if ending == codes.Canceled {
			cancel()
		}
		err = errors.Join(err, received, stream.expectEnd(ending))
		cancel()
		if err != nil {
			return fmt.Errorf("%v: %w", ending, err)
		}
	}
	stream, err := p.pull(p.ctx, topic)
	if err != nil {
		return err
	}
	defer stream.end()
	return stream.expect("again")
}

func (p *pubsubChecker) halfClose() error {
	stream, err := p.pull(p.ctx, p.topic("half"))
	if err != nil {
		return err
	}
	defer stream.end()
	if err := stream.CloseSend(); err != nil {
		return err
	}
	return stream.expectEnd(codes.OK)
}

func (p *pubsubChecker) pause() error {
	topic := p.topic("pause")
	stream, err := p.pull(p.ctx, topic)
	if err != nil {
		return err
	}
	defer stream.end()
	if err := p.publish(topic, "before"); err != nil {
		return err
	}
	before, err := stream.next()
	if err != nil {
		return err
	}
	for range 2 {
		if _, err := p.broker.Pause(p.ctx, &pb.PauseRequest{}); err != nil {
			return err
		}
	}
	// What is on its way is answered during the pause; nothing new comes.
	if err := errors.Join(stream.answer(before.GetId(), ""), p.publish(topic, "during"), stream.silence()); err != nil {
		return err
	}
	if _, err := p.broker.Resume(p.ctx, &pb.ResumeRequest{}); err != nil {
		return err
	}
	return stream.expect("during")
}

func (p *pubsubChecker) large() error {
	topic, data := p.topic("large"), payload()
	stream, err := p.pull(p.ctx, topic)
	if err != nil {
		return err
	}
	defer stream.end()
	for range 2 {
		if _, err := p.broker.Publish(p.ctx, &pb.PublishRequest{Topic: topic, Data: data}); err != nil {
			return err
		}
		message, err := stream.next()
		if err != nil {
			return err
		}
		if !bytes.Equal(message.GetData(), data) {
			return fmt.Errorf("%d other bytes came back", len(message.GetData()))
		}
		if err := stream.answer(message.GetId(), ""); err != nil {
			return err
		}
	}
	return nil
}

func (p *pubsubChecker) publish(topic string, data ...string) error {
	for _, data := range data {
		request := &pb.PublishRequest{Topic: topic, Data: []byte(data), PubsubName: p.instance,
			ContentType: "text/plain", Metadata: map[string]string{"from": "go"}}
		if _, err := p.broker.Publish(p.ctx, request); err != nil {
			return err
		}
	}
	return nil
}

func (p *pubsubChecker) topic(name string) string { return p.instance + "-" + name }

// pulling is a subscription. What comes is read ahead, so that it can be waited for with a cap.
type pulling struct {
	grpc.BidiStreamingClient[pb.PullMessagesRequest, pb.PullMessagesResponse]
	end      context.CancelFunc
	messages chan *pb.PullMessagesResponse
	// What the stream has ended with, once messages is closed.
	ended error
}

func (p *pubsubChecker) pull(ctx context.Context, topic string) (*pulling, error) {
	return pull(ctx, p.broker, topic)
}

func pull(ctx context.Context, broker pb.PubSubClient, topic string) (*pulling, error) {
	ctx, end := context.WithCancel(ctx)
	stream, err := broker.PullMessages(ctx, grpc.MaxCallRecvMsgSize(largest))
	if err == nil {
		err = stream.Send(&pb.PullMessagesRequest{Topic: &pb.Topic{Name: topic}})
	}
	if err != nil {
		end()
		return nil, err
	}
	pulling := &pulling{BidiStreamingClient: stream, end: end, messages: make(chan *pb.PullMessagesResponse, 1)}
	go func() {
		defer close(pulling.messages)
		for {
			message, err := stream.Recv()
			if err != nil {
				pulling.ended = err
				return
			}
			pulling.messages <- message
		}
	}()
	return pulling, nil
}

func (s *pulling) next() (*pb.PullMessagesResponse, error) {
	select {
	case message, open := <-s.messages:
		if !open {
			return nil, s.ended
		}
		return message, nil
	case <-time.After(patience):
		return nil, errors.New("no message came")
	}
}

func (s *pulling) answer(id, reason string) error {
	request := &pb.PullMessagesRequest{AckMessageId: id}
	if reason != "" {
		request.AckError = &pb.AckMessageError{Message: reason}
	}
	return s.Send(request)
}

// expect takes the next message, and acknowledges it.
func (s *pulling) expect(data string) error {
	message, err := s.next()
	if err != nil {
		return err
	}
	if err := expectEqual("the message", string(message.GetData()), data); err != nil {
		return err
	}
	return s.answer(message.GetId(), "")
}

// silence fails when a message comes that should not.
func (s *pulling) silence() error {
	select {
	case message, open := <-s.messages:
		if !open {
			return fmt.Errorf("the stream has ended: %w", s.ended)
		}
		return fmt.Errorf("%v came", message)
	case <-time.After(300 * time.Millisecond):
		return nil
	}
}

func (s *pulling) expectEnd(code codes.Code) error {
	deadline := time.After(patience)
	for {
		select {
		case _, open := <-s.messages:
			if open {
				continue
			}
			if code == codes.OK && errors.Is(s.ended, io.EOF) {
				return nil
			}
			return expectCode(s.ended, code)
		case <-deadline:
			return errors.New("the stream does not end")
		}
	}
}
