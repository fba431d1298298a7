package main

import (
	"context"
	"strconv"
	"sync"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "dapr-pluggable/testbed/peers/go/components"
)

// store is a map with etags, which never come again.
type store struct {
	lock    sync.RWMutex
	entries map[string]entry
	last    uint64
}

type entry struct {
	data []byte
	etag string
}

func (s *store) get(key string) (entry, bool) {
	s.lock.RLock()
	defer s.lock.RUnlock()
	found, is := s.entries[key]
	return found, is
}

// apply checks all of the operations before it does any.
func (s *store) apply(operations ...*pb.TransactionalStateOperation) error {
	s.lock.Lock()
	defer s.lock.Unlock()
	for _, operation := range operations {
		var err error
		if set := operation.GetSet(); set != nil {
			err = s.check(set.GetKey(), set.GetEtag(), set.GetOptions())
		} else {
			remove := operation.GetDelete()
			err = s.check(remove.GetKey(), remove.GetEtag(), remove.GetOptions())
		}
		if err != nil {
			return err
		}
	}
	for _, operation := range operations {
		if set := operation.GetSet(); set != nil {
			s.last++
			s.entries[set.GetKey()] = entry{data: set.GetValue(), etag: strconv.FormatUint(s.last, 10)}
		} else {
			delete(s.entries, operation.GetDelete().GetKey())
		}
	}
	return nil
}

func (s *store) check(key string, etag *pb.Etag, options *pb.StateOptions) error {
	if key == "" {
		return status.Error(codes.InvalidArgument, "the key is empty")
	}
	present, is := s.entries[key]
	first := options.GetConcurrency() == pb.StateOptions_CONCURRENCY_FIRST_WRITE
	switch expected := etag.GetValue(); {
	case expected == "" && (!first || !is), expected != "" && is && expected == present.etag:
		return nil
	default:
		return etagMismatch(key)
	}
}

// etagMismatch and etagInvalid have the one detail by which Dapr's runtime knows them.
func etagMismatch(key string) error {
	return withEtagDetail(status.Newf(codes.FailedPrecondition, "the etag of %q is another", key), "mismatch")
}

func etagInvalid(etag string) error {
	return withEtagDetail(status.Newf(codes.InvalidArgument, "the etag %q is no number", etag), "invalid")
}

func withEtagDetail(plain *status.Status, description string) error {
	detailed, err := plain.WithDetails(&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{
		{Field: "etag", Description: description}}})
	if err != nil {
		return plain.Err()
	}
	return detailed.Err()
}

func set(request *pb.SetRequest) *pb.TransactionalStateOperation {
	return &pb.TransactionalStateOperation{Request: &pb.TransactionalStateOperation_Set{Set: request}}
}

func remove(request *pb.DeleteRequest) *pb.TransactionalStateOperation {
	return &pb.TransactionalStateOperation{Request: &pb.TransactionalStateOperation_Delete{Delete: request}}
}

type stateServer struct {
	pb.UnimplementedStateStoreServer
	worlds *worlds
}

func (s stateServer) store(ctx context.Context) (*store, error) {
	return of(ctx, s.worlds, func(w *world) (*store, bool) { return w.store, w.store != nil })
}

func (s stateServer) Init(ctx context.Context, request *pb.InitRequest) (*pb.InitResponse, error) {
	noteInit(ctx, "state", request.GetMetadata().GetProperties())
	world := s.worlds.open(ctx)
	world.lock.Lock()
	defer world.lock.Unlock()
	if world.store == nil {
		world.store = &store{entries: map[string]entry{}}
	}
	return &pb.InitResponse{}, nil
}

func (s stateServer) Features(ctx context.Context, _ *pb.FeaturesRequest) (*pb.FeaturesResponse, error) {
	_, err := s.store(ctx)
	return &pb.FeaturesResponse{Features: []string{"ETAG", "TRANSACTIONAL"}}, err
}

func (s stateServer) Get(ctx context.Context, request *pb.GetRequest) (*pb.GetResponse, error) {
	store, err := s.store(ctx)
	if err != nil {
		return nil, err
	}
	switch request.GetKey() {
	case "":
		return nil, status.Error(codes.InvalidArgument, "the key is empty")
	case held:
		return nil, hold(ctx)
	}
	found, is := store.get(request.GetKey())
	if !is {
		return &pb.GetResponse{}, nil
	}
	return &pb.GetResponse{Data: found.data, Etag: &pb.Etag{Value: found.etag}}, nil
}

func (s stateServer) Set(ctx context.Context, request *pb.SetRequest) (*pb.SetResponse, error) {
	store, err := s.store(ctx)
	if err == nil {
		err = store.apply(set(request))
	}
	return &pb.SetResponse{}, err
}

func (s stateServer) Delete(ctx context.Context, request *pb.DeleteRequest) (*pb.DeleteResponse, error) {
	store, err := s.store(ctx)
	if err == nil {
		err = store.apply(remove(request))
	}
	return &pb.DeleteResponse{}, err
}

func (s stateServer) BulkGet(ctx context.Context, request *pb.BulkGetRequest) (*pb.BulkGetResponse, error) {
	store, err := s.store(ctx)
	if err != nil {
		return nil, err
	}
	answer := &pb.BulkGetResponse{}
	for _, item := range request.GetItems() {
		line := &pb.BulkStateItem{Key: item.GetKey()}
		if found, is := store.get(item.GetKey()); is {
			line.Data, line.Etag = found.data, &pb.Etag{Value: found.etag}
		}
		answer.Items = append(answer.Items, line)
	}
	return answer, nil
}

func (s stateServer) BulkSet(ctx context.Context, request *pb.BulkSetRequest) (*pb.BulkSetResponse, error) {
	store, err := s.store(ctx)
	for _, item := range request.GetItems() {
		if err == nil {
			err = store.apply(set(item))
		}
	}
	return &pb.BulkSetResponse{}, err
}

func (s stateServer) BulkDelete(ctx context.Context, request *pb.BulkDeleteRequest) (*pb.BulkDeleteResponse, error) {
	store, err := s.store(ctx)
	for _, item := range request.GetItems() {
		if err == nil {
			err = store.apply(remove(item))
		}
	}
	return &pb.BulkDeleteResponse{}, err
}

func (s stateServer) Ping(context.Context, *pb.PingRequest) (*pb.PingResponse, error) {
	return &pb.PingResponse{}, nil
}

type transactionServer struct {
	pb.UnimplementedTransactionalStateStoreServer
	worlds *worlds
}

func (s transactionServer) Transact(ctx context.Context, request *pb.TransactionalStateRequest) (*pb.TransactionalStateResponse, error) {
	store, err := stateServer{worlds: s.worlds}.store(ctx)
	if err == nil {
		err = store.apply(request.GetOperations()...)
	}
	return &pb.TransactionalStateResponse{}, err
}

type transactionLimitServer struct {
	pb.UnimplementedTransactionalStoreMultiMaxSizeServer
}

// MultiMaxSize answers that there is no limit.
func (transactionLimitServer) MultiMaxSize(ctx context.Context, _ *pb.MultiMaxSizeRequest) (*pb.MultiMaxSizeResponse, error) {
	noteDeadline(ctx, "MultiMaxSize")
	return &pb.MultiMaxSizeResponse{MaxSize: -1}, nil
}
