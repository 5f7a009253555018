-- Give back the jobs of every worker that has not been heard of in time.
--
-- KEYS  1 workers that are presumed alive (zset)   2 those of them that note a batch at a time (zset)
--       3 the first one as our first versions name it, or anything else
-- ARGV  1 prefix   2 s until the start counters expire
-- Result  worker id, what was released, worker id, what was released, ...; see include/release.lua
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
return swept
