-- Runs writes and deletes in their order, or none of them.
-- KEYS: the key of each operation; a key may come more than once.
-- ARGV: for each operation what it does ('set' or 'delete'), the form of its value ('hash' or 'json'), the version that is
-- expected or '', and, for 'set', the value, '1' to mark it as written by a first-write, and the time to live: '' leaves
-- it as it is, seconds, or '-1' for none. The value in the form 'json' is a document that its version still has to close.
-- Gives 0, or the number of the operation whose condition does not hold.
local ARGUMENTS = 6

local function text(value)
  if value == nil or value == false or value == '' or value == 'null' then
    return nil
  end
  return tostring(value)
end

-- What is at a key: its form, its version, and whether a first-write marked it.
local function look(key)
  local type_name = redis.call('TYPE', key).ok
  if type_name == 'none' then
    return { form = 'none' }
  elseif type_name == 'hash' then
    local found = redis.call('HMGET', key, 'version', 'first-write')
    return { form = 'hash', version = text(found[1]), marked = found[2] ~= false }
  elseif type_name == 'ReJSON-RL' then
    local version = redis.pcall('JSON.GET', key, '.version')
    local marked = redis.pcall('JSON.GET', key, '.first-write')
    -- A path that is not there is an error in some versions of the module.
    return {
      form = 'json',
      version = type(version) ~= 'table' and text(version) or nil,
      marked = type(marked) ~= 'table' and text(marked) ~= nil,
    }
  end
  return { form = 'other' }
end

-- First every condition, against what the operations before it will have left.
local values, plan = {}, {}
for number, key in ipairs(KEYS) do
  local at = (number - 1) * ARGUMENTS
  local form, expected = ARGV[at + 2], ARGV[at + 3]
  local value = values[key] or look(key)
  local version = value.form == form and value.version or nil
  if ARGV[at + 1] == 'set' then
    if version then
      if expected == '' then
        if value.marked then
          return number
        end
      elseif version ~= expected then
        return number
      end
      if not string.match(version, '^%d+$') or #version > 15 or string.match(version, '^0.') then
        return redis.error_reply('ERR the version of key ' .. key .. ' is ' .. version .. ', which is no number of writes')
      end
    end
    local first = ARGV[at + 5] == '1'
    local before = version
    if not before then
      before = form == 'json' and expected ~= '' and expected or '0'
    end
    local step = { gives_way = value.form ~= form and value.form ~= 'none' }
    step.version = string.format('%d', tonumber(before) + 1)
    -- A hash keeps its mark until it is deleted; a document has it from its last write alone.
    local keeps = form == 'hash' and value.form == 'hash' and value.marked
    value = { form = form, version = step.version, marked = first or keeps }
    plan[number] = step
  else
    if expected ~= '' and (value.form == 'none' or (version and version ~= expected)) then
      return number
    end
    value = { form = 'none' }
  end
  values[key] = value
end

for number, key in ipairs(KEYS) do
  local at = (number - 1) * ARGUMENTS
  local step = plan[number]
  if not step then
    redis.call('DEL', key)
  else
    local form, data, first, ttl = ARGV[at + 2], ARGV[at + 4], ARGV[at + 5] == '1', ARGV[at + 6]
    if step.gives_way then
      redis.call('DEL', key)
    end
    if form == 'json' then
      local mark = first and ',"first-write":0' or ''
      redis.call('JSON.SET', key, '$', data .. ',"version":' .. step.version .. mark .. '}')
    elseif first then
      redis.call('HSET', key, 'data', data, 'first-write', '0', 'version', step.version)
    else
      redis.call('HSET', key, 'data', data, 'version', step.version)
    end
    if ttl == '-1' then
      redis.call('PERSIST', key)
    elseif ttl ~= '' then
      redis.call('EXPIRE', key, ttl)
    end
  end
end
return 0
