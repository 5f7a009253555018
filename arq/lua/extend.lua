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
  local note = redis.pcall('HGET', claims, id)
  local is_readable = type(note) ~= 'table'
  if note and is_held_by(worker, id, text_at(LOCK .. id), is_readable and note) then
    write('SET', LOCK .. id, worker, 'PX', lock_ms)
    move_in_queue(queue, lapse, id)
    local score, _, stamp = recall(is_readable and note or '')
    if stamp then
      redis.call('HSET', claims, id, remember(score, lapse, stamp, queue))
    end
  else
    lost[#lost + 1] = id
  end
end
redis.call('PEXPIRE', claims, lock_ms + 60000)
return lost
