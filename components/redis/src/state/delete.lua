-- Removes a value, where its version allows it.
-- KEYS[1]: the key. ARGV[1]: the version that is expected, or ''.
-- Gives 1, or 0 where there is no value of that version.
local key, expected = KEYS[1], ARGV[1]

if expected ~= '' then
  local version = redis.pcall('HGET', key, 'version')
  if version ~= expected then
    return 0
  end
end
redis.call('DEL', key)
return 1
