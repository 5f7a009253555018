-- Give back the jobs of every worker that has not been heard of in time.
--
-- KEYS  1 workers (zset)
-- ARGV  1 prefix
-- Result  worker id, ids of its jobs, worker id, ids of its jobs, ...
--!include keys
--!include wake
--!include give_back
--!include release
local swept = {}
for _, worker in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now_ms(), 'LIMIT', 0, 100)) do
  swept[#swept + 1] = worker
  swept[#swept + 1] = release_worker(KEYS[1], worker, 'died', '0', '')
end
return swept
