-- Put jobs into one queue, unless a job with the same id is queued, running or has a result.
--
-- KEYS  1 queue (zset)   2 its wake-up tokens (list)   3 workers that look at this queue (zset)   4 requests to abort (zset)
-- ARGV  1 prefix   2 ms that a job outlives its due time
--       then for each job: id, payload, when, expiry, tick
--         when    '' now | '+MS' or '-MS' relative to now | 'MS' unix time
--         expiry  '' as ARGV 2 says | ms from now
--         tick    '' | 'SCHEDULE MS': planned time of a unique cron job; refused if this or a later one was enqueued before
-- Result  one number a job: 1 enqueued, 0 refused
--!include keys
--!include wake
local queue, wake, workers, aborts = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local extra_ms = tonumber(ARGV[2])
local now = now_ms()
redis.call('ZCARD', queue) -- a key of another type is refused here, before anything is written
local TICK_TTL_MS = 86400000

-- Whether this tick is new. Workers that come late to a tick must not enqueue it once more after it has run.
local function new_tick(tick)
  local name, ms = string.match(tick, '^(.*) (%d+)$')
  local key = prefix .. 'cron:' .. queue .. ':' .. name
  local last = redis.call('GET', key)
  if last and tonumber(last) >= tonumber(ms) then
    return false
  end
  redis.call('SET', key, ms, 'PX', TICK_TTL_MS)
  return true
end

-- A running job may have outlived its payload: its id is taken all the same. (`1` is a plain arq worker's lock, which it
-- also leaves behind for a while after a cron job: such a lock has never kept anybody from enqueueing.)
local function is_running_here(id)
  local owner = redis.call('GET', LOCK .. id)
  return owner and owner ~= '1' and redis.call('HEXISTS', CLAIMS .. owner, id) == 1
end

-- Whether the id is free: no job, no result, none that is running. Mostly there is nothing at all, which one look shows.
local function is_free(id)
  if redis.call('EXISTS', JOB .. id, RESULT .. id, LOCK .. id) == 0 then
    return true
  end
  return redis.call('EXISTS', JOB .. id, RESULT .. id) == 0 and not is_running_here(id)
end

local function due_at(when)
  if when == '' then
    return now
  end
  local sign = string.sub(when, 1, 1)
  if sign == '+' or sign == '-' then
    return now + tonumber(when)
  end
  return tonumber(when)
end

local answers, added = {}, {}
for i = 3, #ARGV, 5 do
  local id, payload, when, expiry, tick = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  local answer = 0
  if (tick == '' or new_tick(tick)) and is_free(id) then
    local score = due_at(when)
    local ttl = math.max(1, tonumber(expiry) or math.max(score - now, 0) + extra_ms)
    redis.call('SET', JOB .. id, payload, 'PX', whole(ttl))
    added[#added + 1] = whole(score)
    added[#added + 1] = id
    answer = 1
  end
  answers[#answers + 1] = answer
end

if #added > 0 then
  in_pieces('ZADD', queue, nil, added)
  if redis.call('EXISTS', aborts) == 1 then -- a request to abort was meant for an earlier job with this id
    for i = 2, #added, 2 do
      redis.call('ZREM', aborts, added[i])
    end
  end
  if redis.call('EXISTS', workers) == 1 then
    wake_one(wake)
  end
end
return answers
