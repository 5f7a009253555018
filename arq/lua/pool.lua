-- A supervisor says how its pool is, or that it is gone.
--
-- KEYS  1 pools (zset)   2 what is said of this one (text)
-- ARGV  1 prefix   2 pool and host   3 what is said; '' if it is gone   4 ms for which that is believed
-- Result  1
--!include keys
local now = now_ms()
if ARGV[3] == '' then
  redis.call('DEL', KEYS[2])
  redis.pcall('ZREM', KEYS[1], ARGV[2])
  return 1
end
write('SET', KEYS[2], ARGV[3], 'PX', ARGV[4])
write('ZADD', KEYS[1], whole(now + ARGV[4]), ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. whole(now))
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
