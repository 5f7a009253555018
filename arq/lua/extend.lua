-- Move the time at which the locks of running jobs lapse.
--
-- KEYS  1 queue (zset)   2 claims of this worker (hash)
-- ARGV  1 prefix   2 worker id   3 ms until the locks lapse   4.. job ids
-- Result  ids of the jobs that are not this worker's any more
--!include keys
local queue, claims, worker, lock_ms = KEYS[1], KEYS[2], ARGV[2], tonumber(ARGV[3])
local lapse = whole(now_ms() + lock_ms)
local lost = {}
for i = 4, #ARGV do
  local id = ARGV[i]
  local note = redis.call('HGET', claims, id)
  if note and is_held_by(worker, id, redis.call('GET', LOCK .. id), note) then
    local score, _, stamp = recall(note)
    redis.call('SET', LOCK .. id, worker, 'PX', lock_ms)
    redis.call('ZADD', queue, 'XX', lapse, id)
    redis.call('HSET', claims, id, remember(score, lapse, stamp, queue))
  else
    lost[#lost + 1] = id
  end
end
redis.call('PEXPIRE', claims, lock_ms + 60000)
return lost
