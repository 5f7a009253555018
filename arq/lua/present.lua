-- Say that a worker looks at a queue, for a while.
--
-- KEYS  1 workers that look at this queue (zset)
-- ARGV  1 prefix   2 worker id   3 ms from now until it does not count any more
-- Result  nothing
--!include keys
local now = now_ms()
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], whole(now + ARGV[3]), ARGV[2])
redis.call('PEXPIRE', KEYS[1], 2 * ARGV[3])
