package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	pb "dapr-pluggable/testbed/peers/go/components"
)

func (c *checker) state(connection *grpc.ClientConn) {
	s := &stateChecker{checker: c, store: pb.NewStateStoreClient(connection), connection: connection}
	for _, check := range []struct {
		name string
		run  func() error
	}{
		{"state before init", s.beforeInit},
		{"state init and features", s.init},
		{"state get, set, delete", s.values},
		{"state etags", s.etags},
		{"state bulk", s.bulk},
		{"state transaction", s.transaction},
		{"state query", s.query},
		{"state deadline", s.deadline},
		{"state cancel", s.cancel},
		{"state 8 MB", s.large},
		{"state many at once", s.many},
	} {
		c.run(check.name, check.run)
	}
}

type stateChecker struct {
	*checker
	store      pb.StateStoreClient
	connection *grpc.ClientConn
}

func (s *stateChecker) beforeInit() error {
	if _, err := s.store.Ping(s.ctx, &pb.PingRequest{}); err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	_, err := s.store.Get(s.ctx, &pb.GetRequest{Key: "k"})
	return expectCode(err, codes.FailedPrecondition)
}

func (s *stateChecker) init() error {
	if _, err := s.store.Init(s.ctx, &pb.InitRequest{Metadata: s.meta()}); err != nil {
		return err
	}
	features, err := s.store.Features(s.ctx, &pb.FeaturesRequest{})
	if err != nil {
		return err
	}
	if err := expectFeatures(features.GetFeatures(), "ETAG", "TRANSACTIONAL", "QUERY_API", "TTL"); err != nil {
		return err
	}
	_, err = s.store.Ping(s.ctx, &pb.PingRequest{})
	return err
}

func (s *stateChecker) values() error {
	key := s.key("values")
	missing, err := s.store.Get(s.ctx, &pb.GetRequest{Key: key})
	if err != nil {
		return err
	}
	if len(missing.GetData()) > 0 || missing.GetEtag() != nil {
		return fmt.Errorf("a missing key has %v", missing)
	}
	for _, value := range []string{`"first"`, "\x00\xff", ""} {
		// What Dapr's runtime sends along.
		request := &pb.SetRequest{Key: key, Value: []byte(value), Options: &pb.StateOptions{},
			Metadata: map[string]string{"partitionKey": "p"}}
		if _, err := s.store.Set(s.ctx, request); err != nil {
			return err
		}
		if err := s.expect(key, value); err != nil {
			return err
		}
	}
	for range 2 {
		if _, err := s.store.Delete(s.ctx, &pb.DeleteRequest{Key: key, Options: &pb.StateOptions{}}); err != nil {
			return err
		}
	}
	return s.expect(key, "")
}

func (s *stateChecker) etags() error {
	key := s.key("etags")
	set := func(value string, etag *pb.Etag, concurrency pb.StateOptions_StateConcurrency) error {
		_, err := s.store.Set(s.ctx, &pb.SetRequest{Key: key, Value: []byte(value), Etag: etag,
			Options: &pb.StateOptions{Concurrency: concurrency}})
		return err
	}
	const first, unspecified = pb.StateOptions_CONCURRENCY_FIRST_WRITE, pb.StateOptions_CONCURRENCY_UNSPECIFIED
	if err := set("1", nil, first); err != nil {
		return err
	}
	if err := expectEtagError(set("2", nil, first)); err != nil {
		return fmt.Errorf("the second first write: %w", err)
	}
	old, err := s.store.Get(s.ctx, &pb.GetRequest{Key: key})
	if err != nil {
		return err
	}
	if err := set("3", old.GetEtag(), unspecified); err != nil {
		return err
	}
	if err := expectEtagError(set("4", old.GetEtag(), unspecified)); err != nil {
		return fmt.Errorf("a write with an old etag: %w", err)
	}
	_, err = s.store.Delete(s.ctx, &pb.DeleteRequest{Key: key, Etag: old.GetEtag()})
	if err := expectEtagError(err); err != nil {
		return fmt.Errorf("a delete with an old etag: %w", err)
	}
	return s.expect(key, "3")
}

// expectEtagError wants what Dapr's runtime takes for an etag mismatch: one detail, a BadRequest of one violation.
func expectEtagError(err error) error {
	if err := expectCode(err, codes.FailedPrecondition); err != nil {
		return err
	}
	details := status.Convert(err).Details()
	if len(details) != 1 {
		return fmt.Errorf("%d details, expected 1: %v", len(details), details)
	}
	bad, is := details[0].(*errdetails.BadRequest)
	if !is || len(bad.GetFieldViolations()) != 1 || bad.GetFieldViolations()[0].GetField() != "etag" {
		return fmt.Errorf("the detail is %v", details[0])
	}
	return nil
}

func (s *stateChecker) bulk() error {
	var sets []*pb.SetRequest
	var gets []*pb.GetRequest
	var deletes []*pb.DeleteRequest
	for index := range 20 {
		key := s.key(fmt.Sprint("bulk", index))
		sets = append(sets, &pb.SetRequest{Key: key, Value: fmt.Append(nil, index)})
		gets = append(gets, &pb.GetRequest{Key: key})
		deletes = append(deletes, &pb.DeleteRequest{Key: key})
	}
	if _, err := s.store.BulkSet(s.ctx, &pb.BulkSetRequest{Items: sets}); err != nil {
		return err
	}
	gets = append(gets, &pb.GetRequest{Key: s.key("bulk nothing")})
	request := &pb.BulkGetRequest{Items: gets, Options: &pb.BulkGetRequestOptions{Parallelism: 3}}
	answer, err := s.store.BulkGet(s.ctx, request)
	if err != nil {
		return err
	}
	if err := expectEqual("the number of items", len(answer.GetItems()), len(gets)); err != nil {
		return err
	}
	for index, item := range answer.GetItems() {
		expected := fmt.Sprint(index)
		if index == len(sets) {
			expected = ""
		}
		if item.GetKey() != gets[index].GetKey() || string(item.GetData()) != expected || item.GetError() != "" {
			return fmt.Errorf("item %d is %v", index, item)
		}
	}
	if _, err := s.store.BulkDelete(s.ctx, &pb.BulkDeleteRequest{Items: deletes}); err != nil {
		return err
	}
	return s.expect(sets[0].GetKey(), "")
}

func (s *stateChecker) transaction() error {
	store := pb.NewTransactionalStateStoreClient(s.connection)
	a, b := s.key("a"), s.key("b")
	set := func(key, value string, etag *pb.Etag) *pb.TransactionalStateOperation {
		return &pb.TransactionalStateOperation{Request: &pb.TransactionalStateOperation_Set{
			Set: &pb.SetRequest{Key: key, Value: []byte(value), Etag: etag}}}
	}
	remove := &pb.TransactionalStateOperation{Request: &pb.TransactionalStateOperation_Delete{
		Delete: &pb.DeleteRequest{Key: a}}}
	if _, err := store.Transact(s.ctx, &pb.TransactionalStateRequest{
		Operations: []*pb.TransactionalStateOperation{set(a, "1", nil), set(b, "1", nil)}}); err != nil {
		return err
	}
	if _, err := store.Transact(s.ctx, &pb.TransactionalStateRequest{Operations: []*pb.TransactionalStateOperation{
		remove, set(b, "2", &pb.Etag{Value: "999999999"})}}); err == nil {
		return errors.New("a transaction with a wrong etag was done")
	}
	// Nothing of it has happened.
	if err := errors.Join(s.expect(a, "1"), s.expect(b, "1")); err != nil {
		return err
	}
	if _, err := store.Transact(s.ctx, &pb.TransactionalStateRequest{
		Operations: []*pb.TransactionalStateOperation{remove, set(b, "3", nil)}}); err != nil {
		return err
	}
	limit, err := pb.NewTransactionalStoreMultiMaxSizeClient(s.connection).MultiMaxSize(s.ctx, &pb.MultiMaxSizeRequest{})
	unlimited := expectEqual("the limit of a transaction", limit.GetMaxSize(), -1)
	return errors.Join(err, unlimited, s.expect(a, ""), s.expect(b, "3"))
}

func (s *stateChecker) query() error {
	for _, city := range []string{"Rome", "Oslo", "Lima"} {
		value := fmt.Appendf(nil, `{"city":%q,"run":%q}`, city, s.instance)
		if _, err := s.store.Set(s.ctx, &pb.SetRequest{Key: s.key(city), Value: value}); err != nil {
			return err
		}
	}
	// Dapr's runtime puts JSON as it is into the value of an Any, and names no type.
	filter := map[string]*anypb.Any{"EQ": {Value: fmt.Appendf(nil, `{"run":%q}`, s.instance)}}
	answer, err := pb.NewQueriableStateStoreClient(s.connection).Query(s.ctx, &pb.QueryRequest{Query: &pb.Query{
		Filter:     filter,
		Sort:       []*pb.Sorting{{Key: "city", Order: pb.Sorting_DESC}},
		Pagination: &pb.Pagination{Limit: 2},
	}})
	if err != nil {
		return err
	}
	var keys []string
	for _, item := range answer.GetItems() {
		keys = append(keys, item.GetKey())
	}
	expected := []string{s.key("Rome"), s.key("Oslo")}
	if err := expectEqual("what was found", fmt.Sprint(keys), fmt.Sprint(expected)); err != nil {
		return err
	}
	if answer.GetToken() == "" {
		return errors.New("there is more, and no token")
	}
	return nil
}

// deadline sends what grpc-go makes of several deadlines.
func (s *stateChecker) deadline() error {
	for _, length := range []time.Duration{patience, 90 * time.Minute, 1000 * time.Hour} {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), length)
		_, err := s.store.Get(ctx, &pb.GetRequest{Key: "k"})
		cancel()
		if err != nil {
			return fmt.Errorf("%v: %w", length, err)
		}
	}
	ctx, cancel := context.WithTimeout(s.ctx, time.Nanosecond)
	defer cancel()
	_, err := s.store.Get(ctx, &pb.GetRequest{Key: "k"})
	return expectCode(err, codes.DeadlineExceeded)
}

// cancel gives up many calls at different moments; the connection goes on.
func (s *stateChecker) cancel() error {
	err := parallel(50, func(index int) error {
		ctx, cancel := context.WithCancel(s.ctx)
		time.AfterFunc(time.Duration(index)*50*time.Microsecond, cancel)
		defer cancel()
		_, err := s.store.Get(ctx, &pb.GetRequest{Key: s.key("cancel")})
		if err == nil {
			return nil
		}
		return expectCode(err, codes.Canceled)
	})
	return errors.Join(err, s.expect(s.key("cancel"), ""))
}

func (s *stateChecker) large() error {
	key, data := s.key("large"), payload()
	if _, err := s.store.Set(s.ctx, &pb.SetRequest{Key: key, Value: data}); err != nil {
		return err
	}
	answer, err := s.store.Get(s.ctx, &pb.GetRequest{Key: key}, grpc.MaxCallRecvMsgSize(largest))
	if err != nil {
		return err
	}
	if !bytes.Equal(answer.GetData(), data) {
		return fmt.Errorf("%d other bytes came back", len(answer.GetData()))
	}
	// Who has no room for it, as Dapr's runtime has not, is not sent away for good.
	_, err = s.store.Get(s.ctx, &pb.GetRequest{Key: key})
	if err := expectCode(err, codes.ResourceExhausted); err != nil {
		return err
	}
	tooMuch := bytes.Repeat(data, 3)
	_, err = s.store.Set(s.ctx, &pb.SetRequest{Key: key, Value: tooMuch})
	if err == nil {
		return errors.New("24 MB were taken")
	}
	if _, err := s.store.Delete(s.ctx, &pb.DeleteRequest{Key: key}); err != nil {
		return err
	}
	return s.expect(key, "")
}

func (s *stateChecker) many() error {
	return parallel(200, func(index int) error {
		key := s.key(fmt.Sprint("many", index))
		if _, err := s.store.Set(s.ctx, &pb.SetRequest{Key: key, Value: []byte(key)}); err != nil {
			return err
		}
		return s.expect(key, key)
	})
}

func (s *stateChecker) expect(key, value string) error {
	answer, err := s.store.Get(s.ctx, &pb.GetRequest{Key: key})
	if err != nil {
		return err
	}
	return expectEqual("the value of "+key, string(answer.GetData()), value)
}

func (s *stateChecker) key(name string) string { return s.instance + "||" + name }
