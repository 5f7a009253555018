-- Ask for a job to be aborted, if there is anything to abort. A deferred job becomes due at once, so that a worker sees it.
--
-- KEYS  1 queue (zset)   2 its wake-up tokens (list)   3 requests to abort (zset)   4 workers that look at this queue (zset)
-- ARGV  1 prefix   2 job id
-- Result  1 asked, 0 there is no such job
--!include keys
--!include wake
local queue, wake, aborts, id = KEYS[1], KEYS[2], KEYS[3], ARGV[2]
local score = redis.call('ZSCORE', queue, id)
local running = redis.call('EXISTS', LOCK .. id) == 1
if redis.call('EXISTS', RESULT .. id) == 1 or not (score or running) then
  return 0
end
local now = now_ms()
if score and not running and tonumber(score) > now then
  redis.call('ZADD', queue, 'XX', 1, id)
end
redis.call('ZADD', aborts, whole(now), id)
if redis.call('EXISTS', KEYS[4]) == 1 then
  wake_one(wake)
end
return 1
