-- Which of a worker's running jobs somebody asked to abort. A request is taken out when the job ends (finish.lua), so that
-- none is lost with an answer; old ones whose job is gone are forgotten. A job that is due later and is to be aborted becomes
-- due: this worker, which obeys, will refuse it.
--
-- KEYS  1 requests to abort (zset)   2 queue (zset)
-- ARGV  1 prefix   2 ms after which a request may be forgotten   3.. ids of running jobs
-- Result  ids of the jobs to abort
--!include keys
local aborts, queue, asked = KEYS[1], KEYS[2], {}
local MOST = 500
if not is_zset(aborts) then
  return asked
end
for i = 3, #ARGV do
  if redis.call('ZSCORE', aborts, ARGV[i]) then
    asked[#asked + 1] = ARGV[i]
  end
end
local now = now_ms()
for _, id in ipairs(redis.call('ZREVRANGE', aborts, 0, MOST - 1)) do
  local score = score_of(id, queue)
  if score and tonumber(score) > now and redis.call('EXISTS', LOCK .. id) == 0 then
    move_in_queue(queue, 1, id)
  end
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', aborts, '-inf', now - ARGV[2], 'LIMIT', 0, 100)) do
  if redis.call('EXISTS', JOB .. id, LOCK .. id) == 0 then
    redis.call('ZREM', aborts, id)
  end
end
return asked
