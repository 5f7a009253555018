-- What a worker holds already: after a claim whose answer was lost, the worker asks what it was given. From now on its claims of
-- earlier epochs are refused: one that was held up on its way must not take jobs of which nobody would ever know.
--
-- KEYS  1 claims of this worker (hash)   2 requests to abort (zset)
-- ARGV  1 prefix   2 worker id   3 epoch of the claims that follow
-- Result  jobs, see include/claimed.lua; starts are not counted again
--!include keys
--!include claimed
--!include epoch
refuse_claims_before(ARGV[2], ARGV[3])
local jobs = {}
local held = redis.call('HGETALL', KEYS[1])
for i = 1, #held, 2 do
  local id = held[i]
  if redis.call('GET', LOCK .. id) == ARGV[2] then
    local values = redis.call('MGET', JOB .. id, RETRY .. id, INTERRUPTED .. id)
    local score, _, stamp = recall(held[i + 1])
    jobs[#jobs + 1] = claimed(id, score, values, tonumber(values[2]) or 1, KEYS[2], stamp)
  end
end
return jobs
