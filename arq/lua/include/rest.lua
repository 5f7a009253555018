-- All names of keys, and what is rarely needed.
local INTERRUPTED, CLAIMS, LEFT = prefix .. 'interrupted:', prefix .. 'claims:', prefix .. 'left:'
local WAKE, CRASHES, QUARANTINE = prefix .. 'wake:', prefix .. 'crashes:', prefix .. 'quarantine:'
local PAUSED = prefix .. 'paused:'

-- The name of a queue: its key without what all keys begin with.
local function name_of(queue)
  return string.sub(queue, #prefix - 3)
end

local function now_ms()
  return math.floor(now_us() / 1000)
end

-- The text at a key, or false.
local function text_at(key)
  return redis.call('MGET', key)[1] -- GET would raise an error
end

-- What a hash holds, or {}.
local function all_of(hash)
  local found = redis.pcall('HGETALL', hash)
  return found.err and {} or found
end

-- A queue is its user's. If it is none any more, its jobs have no place in it.
local function move_in_queue(queue, score, id)
  write_though_full('ZADD', queue, 'XX', score, id)
end
