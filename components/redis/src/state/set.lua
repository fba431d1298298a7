-- Writes the hash of a value, where its version allows it.
-- KEYS[1]: the key. ARGV: the version that is expected or '', the value, '1' to mark the value as written by a
-- first-write, and the time to live: '' leaves it as it is, seconds, or '-1' for none.
-- Gives 1, or 0 where the version is another.
local key, expected, value, mark, ttl = KEYS[1], ARGV[1], ARGV[2], ARGV[3] == '1', ARGV[4]

local found = redis.pcall('HMGET', key, 'version', 'first-write')
if found.err then
  if string.sub(found.err, 1, 9) ~= 'WRONGTYPE' then
    return found
  end
  -- Something else than a hash is there; it gives way.
  redis.call('DEL', key)
  found = { false, false }
end
local version, marked = found[1], found[2]

if version and version ~= '' then
  if expected == '' then
    if marked then
      return 0
    end
  elseif version ~= expected then
    return 0
  end
  -- First what can fail: a version that is no number.
  local counted = redis.pcall('HINCRBY', key, 'version', 1)
  if type(counted) == 'table' then
    return counted
  end
  redis.call('HSET', key, 'data', value)
  if mark then
    redis.call('HSET', key, 'first-write', '0')
  end
elseif mark then
  redis.call('HSET', key, 'data', value, 'first-write', '0', 'version', '1')
else
  redis.call('HSET', key, 'data', value, 'version', '1')
end

if ttl == '-1' then
  redis.call('PERSIST', key)
elseif ttl ~= '' then
  redis.call('EXPIRE', key, ttl)
end
return 1
