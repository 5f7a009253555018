-- Let jobs that are deferred, or wait for another try, be due now.
--
-- KEYS  1 queue (zset)   2 its wake-up tokens (list)   3 workers that look at this queue (zset)
-- ARGV  1 prefix   2.. job ids
-- Result  for each job 'done', 'running', 'over' (it has a result) or 'unknown'
--!include keys
--!include wake
local queue, now, answers, any = KEYS[1], now_ms(), {}, false

local function hasten(id)
  local score = score_of(id, queue)
  if not score then
    return redis.call('EXISTS', RESULT .. id) == 1 and 'over' or 'unknown'
  end
  if text_at(LOCK .. id) then
    return 'running'
  end
  if tonumber(score) > now then
    move_in_queue(queue, whole(now), id)
  end
  any = true
  return 'done'
end

for i = 2, #ARGV do
  answers[#answers + 1] = hasten(ARGV[i])
end
if any and count('ZCARD', KEYS[3]) > 0 then
  wake_one(KEYS[2])
end
return answers
