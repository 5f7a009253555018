-- The dead set of a queue: jobs that have failed for good, as they were enqueued, with what is known of the failure.
local DEAD, ERRORS, DEAD_SET = prefix .. 'dead:', prefix .. 'errors:', ':dead'
-- How many jobs had to leave the dead set of a queue because it was full.
local EVICTED = prefix .. 'evicted:'
-- Errors of earlier tries that are kept, and entries that one step removes for their age.
local MOST_ERRORS, AGED_AT_A_TIME = 5, 100

-- Why a try has failed, for a week: as long as a dead set keeps jobs.
local function note_error(id, error)
  local key = ERRORS .. id
  write('RPUSH', key, error)
  redis.call('LTRIM', key, -MOST_ERRORS, -1)
  redis.call('PEXPIRE', key, 604800000)
end

local function forget_dead(dead, ids)
  for _, id in ipairs(ids) do
    redis.call('DEL', DEAD .. id, ERRORS .. id)
    redis.call('ZREM', dead, id)
  end
  return #ids
end

-- Put a job into the dead set; its payload must be there still. Returns how many had to leave it because it is full.
local function bury(queue, id, entry, tries, most, ttl_ms)
  local payload = text_at(JOB .. id)
  if not payload then
    return 0
  end
  local dead, now = queue .. DEAD_SET, now_ms()
  redis.call('DEL', DEAD .. id)
  write('HSET', DEAD .. id, 'payload', payload, 'entry', entry, 'queue', name_of(queue), 'tries', tries)
  redis.call('PEXPIRE', DEAD .. id, ttl_ms)
  if redis.call('EXISTS', ERRORS .. id) == 1 then
    redis.call('PEXPIRE', ERRORS .. id, ttl_ms)
  end
  write('ZADD', dead, whole(now), id)
  redis.call('PEXPIRE', dead, ttl_ms)
  forget_dead(dead, redis.call('ZRANGEBYSCORE', dead, '-inf', '(' .. whole(now - ttl_ms), 'LIMIT', 0, AGED_AT_A_TIME))
  local over = redis.call('ZCARD', dead) - most
  if over <= 0 then
    return 0
  end
  local evicted = forget_dead(dead, redis.call('ZRANGE', dead, 0, math.min(over, AGED_AT_A_TIME) - 1))
  write('INCRBY', EVICTED .. name_of(queue), evicted)
  redis.call('PEXPIRE', EVICTED .. name_of(queue), ttl_ms)
  return evicted
end
