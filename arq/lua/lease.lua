-- Say that workers are alive, for a while.
--
-- KEYS  1 workers that are presumed alive (zset)
-- ARGV  1 prefix   2 ms from now until they are presumed dead   3 'XX': only those that are known   4.. worker ids
-- Result  how many were not known
--!include keys
local lease_ms = tonumber(ARGV[2])
local deadline = whole(now_ms() + lease_ms)
local entries = {}
for i = 4, #ARGV do
  entries[#entries + 1] = deadline
  entries[#entries + 1] = ARGV[i]
end
local added
if ARGV[3] == 'XX' then -- one that was released must not come back by a renewal that was on its way
  added = write('ZADD', KEYS[1], 'XX', unpack(entries))
else
  added = write('ZADD', KEYS[1], unpack(entries))
end
-- Long enough for somebody to notice the last worker's death; without anybody there the scores bring the jobs back.
local keep_ms = lease_ms + 600000
if redis.call('PTTL', KEYS[1]) < keep_ms then
  redis.call('PEXPIRE', KEYS[1], whole(keep_ms))
end
return added
