-- Remove jobs that nobody runs, with all that is known of them, results as well.
--
-- KEYS  1 queue (zset)   2 requests to abort (zset)
-- ARGV  1 prefix   then for each job: id, and what it must have, see include/fingerprint.lua
-- Result  for each job 'done', 'running', 'changed' or 'unknown'
--!include keys
--!include fingerprint
local queue, aborts, answers = KEYS[1], KEYS[2], {}

local function remove(id, wanted)
  local score, owner = score_of(id, queue), text_at(LOCK .. id)
  if owner and (score or owner ~= '1') then
    return 'running'
  end
  local payload, result = text_at(JOB .. id), text_at(RESULT .. id)
  if not (score or result) then
    return 'unknown'
  end
  if wanted ~= '' and not is_as_listed(wanted, payload, result) then
    return 'changed'
  end
  if score then
    -- A plain arq worker watches the lock from its look at the queue to its claim: that claim must fail.
    write('SET', LOCK .. id, 'deleted', 'PX', 1000)
    redis.call('DEL', LOCK .. id, JOB .. id)
    redis.call('ZREM', queue, id)
  end
  redis.call('DEL', RETRY .. id, INTERRUPTED .. id, LEFT .. id, CRASHES .. id, RESULT .. id)
  count('ZREM', aborts, id)
  return 'done'
end

for i = 2, #ARGV, 2 do
  answers[#answers + 1] = remove(ARGV[i], ARGV[i + 1])
end
return answers
