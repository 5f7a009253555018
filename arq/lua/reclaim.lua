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
  local size = redis.pcall('STRLEN', key)
  return type(size) == 'number' and size > 0 and size
end

local most_bytes, bytes, jobs = tonumber(ARGV[4]), 0, {}
local held = redis.call('HGETALL', KEYS[1])
for i = 1, #held, 2 do
  local id = held[i]
  if redis.call('GET', LOCK .. id) == ARGV[2] then
    local payload
    if bytes < most_bytes then
      payload = redis.call('MGET', JOB .. id)[1]
      bytes = bytes + (payload and #payload or 0)
    else
      payload = size_of(JOB .. id)
    end
    local counts = redis.call('MGET', RETRY .. id, INTERRUPTED .. id)
    local values = {payload, counts[1], counts[2]}
    local score, _, stamp = recall(held[i + 1])
    jobs[#jobs + 1] = claimed(id, score, values, tonumber(values[2]) or 1, KEYS[2], stamp)
  end
end
return jobs
