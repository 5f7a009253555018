-- Put jobs of the dead set into the queue again, with their ids and payloads.
--
-- KEYS  1 queue (zset)   2 its dead set (zset)   3 its wake-up tokens (list)   4 workers that look at this queue (zset)
-- ARGV  1 prefix   2 ms from now until they are due   3 ms that their payloads live longer than that   4 s until start counters expire
--       5 '' their tries begin anew | 'one': they get one more
--       then for each job: id, and 'dead MS': the time of its death, or ''
-- Result  for each job 'done', 'queued' (the id stands in the queue), 'running', 'changed' (it has died again) or 'unknown'
--!include keys
--!include wake
--!include dead
local queue, dead, answers, any = KEYS[1], KEYS[2], {}, false
local defer_ms, extra_ms, retry_ttl_s = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]

local function requeue(id, wanted)
  local died = score_of(id, dead)
  local found = redis.pcall('HMGET', DEAD .. id, 'payload', 'tries')
  if not died or found.err or not found[1] then
    return 'unknown'
  end
  if wanted ~= '' and wanted ~= 'dead ' .. died then
    return 'changed'
  end
  if text_at(LOCK .. id) then
    return 'running'
  end
  if score_of(id, queue) then
    return 'queued'
  end
  write('ZADD', queue, whole(now_ms() + defer_ms), id) -- first: a queue that is none breaks off before anything is written
  write('SET', JOB .. id, found[1], 'PX', whole(defer_ms + extra_ms))
  redis.call('DEL', RESULT .. id, RETRY .. id, INTERRUPTED .. id, CRASHES .. id, LEFT .. id, DEAD .. id)
  local tries = number(found[2])
  if ARGV[5] == 'one' and tries and tries > 1 then
    redis.call('SET', RETRY .. id, whole(tries - 1), 'EX', retry_ttl_s)
  end
  redis.call('ZREM', dead, id)
  any = true
  return 'done'
end

if not is_zset(queue) and redis.call('EXISTS', queue) == 1 then
  return redis.error_reply('WRONGTYPE the queue is another kind of key')
end
for i = 6, #ARGV, 2 do
  answers[#answers + 1] = requeue(ARGV[i], ARGV[i + 1])
end
if any and count('ZCARD', KEYS[4]) > 0 then
  wake_one(KEYS[3])
end
return answers
