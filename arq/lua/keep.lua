-- Let no payload and no counter of a paused queue expire: for some of its entries.
--
-- KEYS  1 queue (zset)   2 there while somebody else does this, or has done it lately (text)
-- ARGV  1 prefix   2 rank of the first entry   3 how many   4 ms that a payload lives at least beyond the time at which it is due
--       5 ms that it is given   6 '' | ms for which nobody else needs to do this
-- Result  number of entries that were looked at, or -1: others do this
--!include keys
local now, least_ms, given_ms = now_ms(), tonumber(ARGV[4]), tonumber(ARGV[5])
if ARGV[6] ~= '' and tonumber(ARGV[2]) == 0 and not write('SET', KEYS[2], '1', 'NX', 'PX', ARGV[6]) then
  return -1
end
local LONGEST_MS = 1e14
local rows, counters = redis.call('ZRANGE', KEYS[1], ARGV[2], ARGV[2] + ARGV[3] - 1, 'WITHSCORES'), {}
for i = 1, #rows, 2 do
  counters[#counters + 1] = RETRY .. rows[i]
  counters[#counters + 1] = INTERRUPTED .. rows[i]
  counters[#counters + 1] = CRASHES .. rows[i]
end
local is_there = #counters > 0 and redis.call('MGET', unpack(counters)) or {}
for i = 1, #rows, 2 do
  local id, wait_ms = rows[i], math.max(0, math.min(tonumber(rows[i + 1]) - now, LONGEST_MS))
  local ttl_ms = redis.call('PTTL', JOB .. id)
  if ttl_ms >= 0 and ttl_ms < wait_ms + least_ms then
    redis.call('PEXPIRE', JOB .. id, whole(wait_ms + given_ms))
  end
  local first = 3 * (i - 1) / 2
  for n = first + 1, first + 3 do
    if is_there[n] then
      redis.call('PEXPIRE', counters[n], whole(wait_ms + least_ms), 'GT')
    end
  end
end
return #rows / 2
