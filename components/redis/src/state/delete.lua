-- Removes a value, where its version allows it.
-- KEYS[1]: the key. ARGV[1]: the version that is expected, or ''.
-- Gives 1, or 0 where there is no value, or one of another version. What has no version at all goes.
local key, expected = KEYS[1], ARGV[1]

if expected ~= '' then
  local version = redis.pcall('HGET', key, 'version')
  if type(version) == 'table' then
    if string.sub(version.err, 1, 9) ~= 'WRONGTYPE' then
      return version
    end
  elseif version and version ~= '' then
    if version ~= expected then
      return 0
    end
  elseif redis.call('EXISTS', key) == 0 then
    return 0
  end
end
redis.call('DEL', key)
return 1
