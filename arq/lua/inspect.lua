-- Everything known about jobs, as of one moment. The score of a running job is the one it had before it was claimed.
--
-- KEYS  1 queue (zset)
-- ARGV  1 prefix   2 '1': with the bytes of payloads and results; '0': '' stands for them   3.. job ids
-- Result  {now in ms, answers}, for each job {result or false, payload or false, score or false, 1 if it is running}
--!include keys
--!include batches
--!include claim_by
local answers = {}
local with_bytes = ARGV[2] == '1'

local function shown(value)
  return value and (with_bytes and value or '')
end

for i = 3, #ARGV do
  local id = ARGV[i]
  local values = redis.call('MGET', RESULT .. id, JOB .. id, LOCK .. id)
  local score = redis.call('ZSCORE', KEYS[1], id)
  if score and values[3] and values[3] ~= '1' then
    local claim = claim_by(values[3], id)
    score = claim and claim[SCORE] or score
  end
  answers[#answers + 1] = {shown(values[1]), shown(values[2]), score, values[3] and 1 or 0}
end
return {now_ms(), answers}
