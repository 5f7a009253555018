-- Say that workers are alive, for a while.
--
-- KEYS  1 workers that are presumed alive (zset)   2 those of them that note a batch at a time (zset): workers of earlier versions, which
--       can't read such notes, look at the first one only, and take from there who is dead
--       3 when to look whether claims of a worker have lapsed (zset)
-- ARGV  1 prefix   2 ms from now until they are presumed dead   3 'XX': only those that are known   4.. worker ids
-- Result  how many were not known
--!include keys
local lease_ms = tonumber(ARGV[2])
local deadline = whole(now_ms() + lease_ms)
local entries = {}
if ARGV[3] == 'XX' then -- one that was released must not come back by a renewal that was on its way
  entries[1] = 'XX'
end
for i = 4, #ARGV do
  entries[#entries + 1] = deadline
  entries[#entries + 1] = ARGV[i]
end
-- Long enough for somebody to notice the last worker's death; without anybody there the scores bring the jobs back.
local keep_ms = lease_ms + 600000
local added
if ARGV[3] == '' then
  write('ZADD', KEYS[3], 'NX', unpack(entries)) -- its locks hold longer than its lease
end
for n = 1, 3 do
  local key = KEYS[n]
  if n < 3 then
    local new = write('ZADD', key, unpack(entries))
    added = added or new
  end
  if redis.call('PTTL', key) < keep_ms then
    redis.call('PEXPIRE', key, whole(keep_ms))
  end
end
return added
