-- What a worker holds already: after a claim whose answer was lost, the worker asks what it was given. From now on its claims of
-- earlier epochs are refused: one that was held up on its way must not take jobs of which nobody would ever know.
--
-- KEYS  1 claims of this worker (hash)   2 requests to abort (zset)
-- ARGV  1 prefix   2 worker id   3 epoch of the claims that follow   4 bytes of payloads after which no more are sent along
-- Result  jobs, see include/claimed.lua; starts are not counted again; the size stands for a payload that is not sent along
--!include keys
--!include claimed
--!include epoch
refuse_claims_before(ARGV[2], ARGV[3])

-- Bytes of a text; false if there is none.
local function size_of(key)
  local size = count('STRLEN', key)
  return size > 0 and size
end

local most_bytes, bytes, jobs = tonumber(ARGV[4]), 0, {}
local held = all_of(KEYS[1])
for i = 1, #held, 2 do
  local id = held[i]
  local score, _, stamp = recall(held[i + 1])
  if stamp and text_at(LOCK .. id) == ARGV[2] then
    local payload
    if bytes < most_bytes then
      payload = text_at(JOB .. id)
      bytes = bytes + (payload and #payload or 0)
    else
      payload = size_of(JOB .. id)
    end
    local counts = redis.call('MGET', RETRY .. id, INTERRUPTED .. id, CRASHES .. id)
    local values = {payload, counts[1], counts[2]}
    jobs[#jobs + 1] = claimed(id, score, values, number(values[2]) or 1, KEYS[2], stamp, counts[3])
  end
end
return jobs
