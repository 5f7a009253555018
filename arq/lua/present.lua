-- Say that a worker looks at a queue, for a while; and learn what operators want.
--
-- KEYS  1 workers that look at this queue (zset)   2 a word for this worker (text)   3 there while the queue is paused (text)
-- ARGV  1 prefix   2 worker id   3 ms from now until it does not count any more
--       4 where workers of our first versions say the same; it may be anything else, or not permitted to us
-- Result  {1 if such workers look at the queue, too, the word or false, what is said of the pause or false}
--!include keys
local lookers, now = KEYS[1], now_ms()
write('ZREMRANGEBYSCORE', lookers, '-inf', now)
-- Nobody says so for longer: the clock was set back, or it was none of us, and would lessen the share of all others for ever.
redis.call('ZREMRANGEBYSCORE', lookers, '(' .. whole(now + 2 * ARGV[3]), '+inf')
-- The half says that this worker obeys pauses and words: those of earlier versions have whole numbers.
redis.call('ZADD', lookers, whole(now + ARGV[3]) .. '.5', ARGV[2])
redis.call('PEXPIRE', lookers, 2 * ARGV[3])
local told = redis.call('MGET', KEYS[2], KEYS[3])
if told[1] then
  redis.call('DEL', KEYS[2])
end
-- If it is a queue, jobs that are due soon count, too: no harm, see `Listener`.
local has_old = math.min(1, count('ZCOUNT', string.sub(prefix, 1, -5) .. ARGV[4], whole(now), whole(now + ARGV[3])))
return {has_old, told[1], told[2]}
