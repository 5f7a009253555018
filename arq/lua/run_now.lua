-- Let jobs that are deferred, or wait for another try, be due now.
--
-- KEYS  1 queue (zset)   2 its wake-up tokens (list)   3 workers that look at this queue (zset)
-- ARGV  1 prefix   then for each job: id, and what it must have, see include/fingerprint.lua
-- Result  for each job 'done', 'running', 'over' (it has a result), 'changed' or 'unknown'
--!include keys
--!include wake
--!include fingerprint
local queue, now, answers, any = KEYS[1], now_ms(), {}, false

local function hasten(id, wanted)
  local score = score_of(id, queue)
  if not score then
    return redis.call('EXISTS', RESULT .. id) == 1 and 'over' or 'unknown'
  end
  if text_at(LOCK .. id) then
    return 'running'
  end
  if wanted ~= '' and not is_as_listed(wanted, text_at(JOB .. id), false) then
    return 'changed'
  end
  if tonumber(score) > now then
    move_in_queue(queue, whole(now), id)
  end
  any = true
  return 'done'
end

for i = 2, #ARGV, 2 do
  answers[#answers + 1] = hasten(ARGV[i], ARGV[i + 1])
end
if any and count('ZCARD', KEYS[3]) > 0 then
  wake_one(KEYS[2])
end
return answers
