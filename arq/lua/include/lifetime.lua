-- A job that is due later must not outlive its payload, nor what is counted of it. Times to live are only ever lengthened.
-- Redis takes no time to live that is much longer, in ms.
local LONGEST_LIFE_MS = 1e14

-- Returns for how many ms the key lives; -1: without a limit, -2: it is not there.
local function live_for(key, ms)
  local ttl_ms = redis.call('PTTL', key)
  if ttl_ms < 0 or ttl_ms >= ms then
    return ttl_ms
  end
  redis.call('PEXPIRE', key, whole(ms))
  return ms
end

-- Let the payload live for so many ms, and the counters as long as the payload.
local function job_lives_for(id, ms)
  ms = math.min(ms, LONGEST_LIFE_MS)
  ms = math.max(ms, live_for(JOB .. id, ms))
  live_for(RETRY .. id, ms)
  live_for(INTERRUPTED .. id, ms)
end
