-- Say that a worker looks at a queue, for a while.
--
-- KEYS  1 workers that look at this queue (zset)
-- ARGV  1 prefix   2 worker id   3 ms from now until it does not count any more
--       4 where workers of our first versions say the same; it may be anything else, or not permitted to us
-- Result  1 if such workers look at the queue, too
--!include keys
local lookers, now = KEYS[1], now_ms()
write('ZREMRANGEBYSCORE', lookers, '-inf', now)
-- Nobody says so for longer: the clock was set back, or it was none of us, and would lessen the share of all others for ever.
redis.call('ZREMRANGEBYSCORE', lookers, '(' .. whole(now + 2 * ARGV[3]), '+inf')
redis.call('ZADD', lookers, whole(now + ARGV[3]), ARGV[2])
redis.call('PEXPIRE', lookers, 2 * ARGV[3])
-- If it is a queue, jobs that are due soon count, too: no harm, see `Listener`.
return math.min(1, count('ZCOUNT', ARGV[4], whole(now), whole(now + ARGV[3])))
