-- Leave a wake-up token for another worker: from one that was full when a token reached it, or from one that leaves and takes
-- along what it knew of the next due job.
--
-- KEYS  1 queue (zset)   2 its wake-up tokens (list)   3 workers that look at this queue (zset)
-- ARGV  1 prefix   2 id of the worker that leaves, or ''
-- Result  nothing
--!include keys
--!include wake
if ARGV[2] ~= '' then
  count('ZREM', KEYS[3], ARGV[2])
end
if count('ZCARD', KEYS[3]) > 0 and count('ZCARD', KEYS[1]) > 0 then
  wake_one(KEYS[2])
end
