-- Which of a worker's running jobs somebody asked to abort. A request is taken out when the job ends (finish.lua), so that
-- none is lost with an answer; old ones whose job is gone are forgotten.
--
-- KEYS  1 requests to abort (zset)   2 queue (zset)
-- ARGV  1 prefix   2 ms after which a request may be forgotten   3.. ids of running jobs
-- Result  ids of the jobs to abort
--!include keys
local aborts, asked = KEYS[1], {}
if not is_zset(aborts) then
  return asked
end
for i = 3, #ARGV do
  if redis.call('ZSCORE', aborts, ARGV[i]) then
    asked[#asked + 1] = ARGV[i]
  end
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', aborts, '-inf', now_ms() - ARGV[2], 'LIMIT', 0, 100)) do
  if redis.call('EXISTS', JOB .. id, LOCK .. id) == 0 then
    redis.call('ZREM', aborts, id)
  end
end
return asked
