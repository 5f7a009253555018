-- Abort a job: one that nobody runs is taken out of the queue, with a result that says so; for one that runs a request is
-- noted, which its worker may obey. Nothing else becomes of a job.
--
-- KEYS  1 queue (zset)   2 requests to abort (zset)
-- ARGV  1 prefix   2 job id   3 '1': note a request if it runs   '2': also if nobody runs it, and leave that to workers
--       and when the caller has read the payload and made the result of it:
--       4 that payload ('' none)   5 result ('' none)   6 ms to keep it
-- Result  {'over'} there is nothing to abort
--         {'running'}
--         {'asked'} nobody runs it, and there is a request
--         {'queued', payload ('' none), number of starts, now in ms} nobody runs it: make a result and call again
--         {'aborted'}
--!include keys
--!include batches
local queue, aborts, id = KEYS[1], KEYS[2], ARGV[2]
local score, owner = redis.call('ZSCORE', queue, id), text_at(LOCK .. id)

-- Whether it runs for this queue, though it stands in the queue no more: somebody has removed it by hand.
local function is_claimed_here()
  if owner == '1' then
    return false
  end
  local _, by_id = claims_of(owner)
  return by_id[id] ~= nil and by_id[id][QUEUE] == queue
end

if redis.call('EXISTS', RESULT .. id) == 1 or not (score or owner and is_claimed_here()) then
  return {'over'}
end
if owner then
  if ARGV[3] ~= '0' then
    write('ZADD', aborts, whole(now_ms()), id)
  end
  return {'running'}
end
if ARGV[3] == '2' then
  write('ZADD', aborts, whole(now_ms()), id)
  return {'asked'}
end

local payload = text_at(JOB .. id) or ''
if ARGV[4] ~= payload then
  return {'queued', payload, number(text_at(RETRY .. id)) or 0, now_ms()}
end
-- A plain arq worker watches the lock from its look at the queue to its claim: that claim must fail.
write('SET', LOCK .. id, 'aborted', 'PX', 1000)
redis.call('DEL', LOCK .. id, JOB .. id, RETRY .. id, INTERRUPTED .. id, LEFT .. id, CRASHES .. id)
redis.call('ZREM', queue, id)
count('ZREM', aborts, id)
if ARGV[5] ~= '' then
  redis.call('SET', RESULT .. id, ARGV[5], 'PX', ARGV[6])
end
return {'aborted'}
