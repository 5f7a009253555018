-- What is known of jobs, for people: nothing is changed.
--
-- KEYS  1 queue (zset)
-- ARGV  1 prefix   2 bytes of a payload at most   3, 4 of a larger one so many of the first and of the last bytes are given
--       5.. job ids, some hundred at most
-- Result  {now in ms, answers}, for each job {score or false, payload, or {its size, first bytes, last bytes}, or false, owner of its lock or false, number of its
--         starts, how many of them were interrupted, score before the claim or false, stamp of the claim or false, 1 if it is not in the
--         queue and has a result}
--!include keys
--!include batches
--!include claim_by
local queue, most_bytes, first, last = KEYS[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local answers = {}
local ids, names, jobs, small = {}, {}, {}, {}
local scores = {}

-- One command for all of them, where there is one.
local count_of = #ARGV - 4
for n = 1, count_of do
  local id = ARGV[n + 4]
  ids[n] = id
  names[n], names[count_of + n], names[2 * count_of + n] = LOCK .. id, RETRY .. id, INTERRUPTED .. id
  local size = count('STRLEN', JOB .. id)
  jobs[n] = size > 0 and size
  if size > 0 and size <= most_bytes then
    small[#small + 1] = JOB .. id
  end
end
local values = redis.call('MGET', unpack(names))
local payloads = #small > 0 and redis.call('MGET', unpack(small)) or {}
local found = redis.pcall('ZMSCORE', queue, unpack(ids))
if not found.err then
  scores = found
end

local next_small = 0
for n, id in ipairs(ids) do
  local payload = jobs[n]
  if payload and payload <= most_bytes then
    next_small = next_small + 1
    payload = payloads[next_small]
  elseif payload then
    payload = {payload, redis.call('GETRANGE', JOB .. id, 0, first - 1), redis.call('GETRANGE', JOB .. id, -last, -1)}
  end
  local owner = values[n]
  local claim = owner and owner ~= '1' and claim_by(owner, id) or {}
  answers[n] = {
    scores[n] or false, payload, owner, number(values[count_of + n]) or 0, number(values[2 * count_of + n]) or 0,
    claim[SCORE] or false, claim[STAMP] or false, scores[n] and 0 or redis.call('EXISTS', RESULT .. id),
  }
end
return {now_ms(), answers}
