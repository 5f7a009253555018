-- Let workers have jobs of a queue again, and wake one of them.
--
-- KEYS  1 what says that the queue is paused (text)   2 queue (zset)   3 its wake-up tokens (list)   4 workers that look at it (zset)
-- ARGV  1 prefix
-- Result  1, or 0 if it was not paused
--!include keys
--!include wake
if not text_at(KEYS[1]) then
  return 0
end
redis.call('DEL', KEYS[1])
if count('ZCARD', KEYS[4]) > 0 and count('ZCARD', KEYS[2]) > 0 then
  wake_one(KEYS[3])
end
return 1
