package main

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "dapr-pluggable/testbed/peers/go/components"
)

// What a script answers where the version is another one.
const otherVersion = "OTHERVERSION"

// A value is a hash: data, version, and the mark of a first write. "0" is no version at all, so without one only a marked value is refused.
var (
	setScript = redis.NewScript(`
local version = redis.call('HGET', KEYS[1], 'version')
if version and version ~= ARGV[1] then
  if ARGV[1] ~= '0' or redis.call('HEXISTS', KEYS[1], 'first-write') == 1 then
    return redis.error_reply('` + otherVersion + ` of ' .. KEYS[1])
  end
end
redis.call('HSET', KEYS[1], 'data', ARGV[2])
if ARGV[3] == '1' then
  redis.call('HSET', KEYS[1], 'first-write', '0')
end
return redis.call('HINCRBY', KEYS[1], 'version', 1)`)

	deleteScript = redis.NewScript(`
local version = redis.call('HGET', KEYS[1], 'version')
if version and ARGV[1] ~= '0' and version ~= ARGV[1] then
  return redis.error_reply('` + otherVersion + ` of ' .. KEYS[1])
end
return redis.call('DEL', KEYS[1])`)
)

// redisStateServer does one command for each key, as Dapr's own component. It knows no TTL and no transactions.
type redisStateServer struct {
	pb.UnimplementedStateStoreServer
	worlds *worlds
}

func (s redisStateServer) Init(ctx context.Context, request *pb.InitRequest) (*pb.InitResponse, error) {
	return &pb.InitResponse{}, connect(ctx, s.worlds, request.GetMetadata().GetProperties())
}

func (s redisStateServer) Features(ctx context.Context, _ *pb.FeaturesRequest) (*pb.FeaturesResponse, error) {
	_, err := remoteOf(ctx, s.worlds)
	return &pb.FeaturesResponse{Features: []string{"ETAG"}}, err
}

func (s redisStateServer) Get(ctx context.Context, request *pb.GetRequest) (*pb.GetResponse, error) {
	remote, err := remoteOf(ctx, s.worlds)
	if err != nil {
		return nil, err
	}
	found, err := remote.get(ctx, request.GetKey())
	if err != nil || found == nil {
		return &pb.GetResponse{}, err
	}
	return &pb.GetResponse{Data: found.data, Etag: &pb.Etag{Value: found.etag}}, nil
}

func (s redisStateServer) Set(ctx context.Context, request *pb.SetRequest) (*pb.SetResponse, error) {
	remote, err := remoteOf(ctx, s.worlds)
	if err == nil {
		err = remote.set(ctx, request)
	}
	return &pb.SetResponse{}, err
}

func (s redisStateServer) Delete(ctx context.Context, request *pb.DeleteRequest) (*pb.DeleteResponse, error) {
	remote, err := remoteOf(ctx, s.worlds)
	if err == nil {
		err = remote.delete(ctx, request)
	}
	return &pb.DeleteResponse{}, err
}

func (s redisStateServer) BulkGet(ctx context.Context, request *pb.BulkGetRequest) (*pb.BulkGetResponse, error) {
	remote, err := remoteOf(ctx, s.worlds)
	if err != nil {
		return nil, err
	}
	items := make([]*pb.BulkStateItem, len(request.GetItems()))
	// A failure is told with its item.
	_ = each(request.GetItems(), func(place int, item *pb.GetRequest) error {
		line := &pb.BulkStateItem{Key: item.GetKey()}
		if found, err := remote.get(ctx, item.GetKey()); err != nil {
			line.Error = err.Error()
		} else if found != nil {
			line.Data, line.Etag = found.data, &pb.Etag{Value: found.etag}
		}
		items[place] = line
		return nil
	})
	return &pb.BulkGetResponse{Items: items}, nil
}

func (s redisStateServer) BulkSet(ctx context.Context, request *pb.BulkSetRequest) (*pb.BulkSetResponse, error) {
	remote, err := remoteOf(ctx, s.worlds)
	if err == nil {
		err = each(request.GetItems(), func(_ int, item *pb.SetRequest) error { return remote.set(ctx, item) })
	}
	return &pb.BulkSetResponse{}, err
}

func (s redisStateServer) BulkDelete(ctx context.Context, request *pb.BulkDeleteRequest) (*pb.BulkDeleteResponse, error) {
	remote, err := remoteOf(ctx, s.worlds)
	if err == nil {
		err = each(request.GetItems(), func(_ int, item *pb.DeleteRequest) error { return remote.delete(ctx, item) })
	}
	return &pb.BulkDeleteResponse{}, err
}

func (s redisStateServer) Ping(ctx context.Context, _ *pb.PingRequest) (*pb.PingResponse, error) {
	return &pb.PingResponse{}, pinged(ctx, s.worlds)
}

// get gives nil for what is not there.
func (r *remote) get(ctx context.Context, key string) (*entry, error) {
	if key == "" {
		return nil, status.Error(codes.InvalidArgument, "the key is empty")
	}
	fields, err := r.client.HGetAll(ctx, key).Result()
	if err != nil {
		return nil, unavailable(err)
	}
	if len(fields) == 0 {
		return nil, nil
	}
	return &entry{data: []byte(fields["data"]), etag: fields["version"]}, nil
}

func (r *remote) set(ctx context.Context, request *pb.SetRequest) error {
	if request.GetKey() == "" {
		return status.Error(codes.InvalidArgument, "the key is empty")
	}
	version, first := 0, 0
	options := request.GetOptions().GetConcurrency()
	if text := request.GetEtag().GetValue(); text != "" && options != pb.StateOptions_CONCURRENCY_LAST_WRITE {
		number, err := strconv.Atoi(text)
		if err != nil {
			return etagInvalid(text)
		}
		version = number
	}
	if options == pb.StateOptions_CONCURRENCY_FIRST_WRITE {
		first = 1
	}
	err := setScript.Run(ctx, r.client, []string{request.GetKey()}, version, request.GetValue(), first).Err()
	return outcome(request.GetKey(), err)
}

func (r *remote) delete(ctx context.Context, request *pb.DeleteRequest) error {
	if request.GetKey() == "" {
		return status.Error(codes.InvalidArgument, "the key is empty")
	}
	version := request.GetEtag().GetValue()
	if version == "" {
		version = "0"
	}
	err := deleteScript.Run(ctx, r.client, []string{request.GetKey()}, version).Err()
	return outcome(request.GetKey(), err)
}

func outcome(key string, err error) error {
	if err != nil && strings.Contains(err.Error(), otherVersion) {
		return etagMismatch(key)
	}
	return unavailable(err)
}

// each does all at once, and gives the failures together.
func each[T any](items []T, do func(int, T) error) error {
	failures := make([]error, len(items))
	var all sync.WaitGroup
	for place, item := range items {
		all.Add(1)
		go func() {
			defer all.Done()
			failures[place] = do(place, item)
		}()
	}
	all.Wait()
	return errors.Join(failures...)
}
