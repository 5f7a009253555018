-- Move the time at which the locks of running jobs lapse. What belongs to them lives on for a day beyond that: they may be run again.
--
-- KEYS  1 queue (zset)   2 claims of this worker, a batch each (hash)
-- ARGV  1 prefix   2 worker id   3 ms until the locks lapse   4.. job ids
-- Result  ids of the jobs that are not this worker's any more
--!include keys
--!include batches
--!include lifetime
local queue, batches, worker, lock_ms = KEYS[1], KEYS[2], ARGV[2], tonumber(ARGV[3])
local lapse = whole(now_ms() + lock_ms)
local DAY_MS = 86400000
local _, by_id = claims_of(worker)
local lost, extended = {}, {}
for i = 4, #ARGV do
  local id = ARGV[i]
  local claim = by_id[id]
  if claim and is_held_by(worker, text_at(LOCK .. id), claim) then
    write('SET', LOCK .. id, worker, 'PX', lock_ms)
    move_in_queue(queue, lapse, id)
    job_lives_for(id, lock_ms + DAY_MS)
    if claim[STAMP] then
      extended[claim[STAMP]] = true
    end
  else
    lost[#lost + 1] = id
  end
end
for stamp in pairs(extended) do
  local note = redis.call('HGET', batches, stamp)
  if note then
    redis.call('HSET', batches, stamp, with_lapse(note, lapse))
  end
end
redis.call('PEXPIRE', batches, lock_ms + 60000)
return lost
