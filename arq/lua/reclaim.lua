-- What a worker holds already: after a claim whose answer was lost, the worker asks what it was given. From now on its claims of
-- earlier epochs are refused: one that was held up on its way must not take jobs of which nobody would ever know.
--
-- KEYS  1 claims of this worker, a batch each (hash)   2 requests to abort (zset)
-- ARGV  1 prefix   2 worker id   3 epoch of the claims that follow   4 bytes of payloads after which no more are sent along
-- Result  jobs, see include/claimed.lua; starts are not counted again; the size stands for a payload that is not sent along
--!include keys
--!include batches
--!include claimed
--!include epoch
refuse_claims_before(ARGV[2], ARGV[3])

-- Bytes of a text; false if there is none.
local function size_of(key)
  local size = count('STRLEN', key)
  return size > 0 and size
end

local most_bytes, bytes, jobs, is_held = tonumber(ARGV[4]), 0, {}, {}
local claims = claims_of(ARGV[2])
for n, owner in ipairs(owners_of(claims)) do
  local claim = claims[n]
  local id = claim[ID]
  if claim[STAMP] and owner == ARGV[2] then
    local payload
    if bytes < most_bytes then
      payload = text_at(JOB .. id)
      bytes = bytes + (payload and #payload or 0)
    else
      payload = size_of(JOB .. id)
    end
    local counts = redis.call('MGET', RETRY .. id, INTERRUPTED .. id, CRASHES .. id)
    jobs[#jobs + 1] = claimed(claim, payload, math.max(number(counts[1]) or 1, 1), counts, KEYS[2])
    is_held[claim[STAMP]] = true
  end
end
local batches = all_of(KEYS[1])
for i = 1, #batches, 2 do
  if not is_held[batches[i]] then -- all that was in it is over
    redis.call('HDEL', KEYS[1], batches[i])
  end
end
return jobs
