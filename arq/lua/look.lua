-- What is known of jobs, for people: nothing is changed.
--
-- KEYS  1 queue (zset)
-- ARGV  1 prefix   2 bytes of a payload at most: of a larger one only its size is given   3.. job ids
-- Result  {now in ms, answers}, for each job {score or false, payload, or its size, or false, owner of its lock or false, number of its
--         starts, how many of them were interrupted, score before the claim or false, stamp of the claim or false, 1 if it has a result}
--!include keys
--!include batches
local queue, most_bytes = KEYS[1], tonumber(ARGV[2])
local answers, known = {}, {}

local function claim_by(worker, id)
  if not known[worker] then
    local _, by_id = claims_of(worker)
    known[worker] = by_id
  end
  return known[worker][id] or {}
end

local function payload_of(id)
  local size = count('STRLEN', JOB .. id)
  return size > 0 and (size > most_bytes and size or text_at(JOB .. id))
end

for i = 3, #ARGV do
  local id = ARGV[i]
  local values = redis.call('MGET', LOCK .. id, RETRY .. id, INTERRUPTED .. id)
  local claim = values[1] and values[1] ~= '1' and claim_by(values[1], id) or {}
  local starts = number(values[2]) or claim[STAMP] and 1 or 0 -- the first one is counted by the claim alone
  answers[#answers + 1] = {
    score_of(id, queue), payload_of(id), values[1], starts, number(values[3]) or 0,
    claim[SCORE] or false, claim[STAMP] or false, redis.call('EXISTS', RESULT .. id),
  }
end
return {now_ms(), answers}
