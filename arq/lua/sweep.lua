-- Give back the jobs of every worker that has not been heard of in time.
--
-- KEYS  1 workers that are presumed alive (zset)   2 those of them that note a batch at a time (zset)
--       3 the first one as our first versions name it, or anything else
-- ARGV  1 prefix   2 s until the start counters expire
-- Result  worker id, what was released, worker id, what was released, ...; see include/release.lua; at the end: ms until one more is
--         overdue, if it is not heard of before; -1: there is none
--!include keys
--!include batches
--!include wake
--!include give_back
--!include suspects
--!include crashes
--!include release
--!include overdue
local swept = {}

for _, worker in ipairs(overdue(KEYS[1], KEYS[2])) do
  sweep({KEYS[1], KEYS[2]}, worker, ARGV[2], swept)
end
-- A queue may have the last name: whoever holds nothing there is none of our workers.
for _, worker in ipairs(overdue(KEYS[3])) do
  if redis.call('EXISTS', CLAIMS .. worker) == 1 then
    sweep({KEYS[3]}, worker, ARGV[2], swept)
  end
end
local next_ms = -1
for n = 1, 2 do
  local first = redis.pcall('ZRANGE', KEYS[n], 0, 0, 'WITHSCORES')[2]
  local ms = number(first) and math.max(number(first) - now_ms(), 0)
  if ms and (next_ms < 0 or ms < next_ms) then
    next_ms = ms
  end
end
swept[#swept + 1] = next_ms
return swept
