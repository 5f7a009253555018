-- Add to the statistics of a queue, for this minute and for these ten minutes; with them, how many jobs are due and for how long.
--
-- KEYS  1 queue (zset)
-- ARGV  1 prefix   2 name of the queue   3 ms to keep counts by minutes   4 the same by ten minutes   5 field for the most jobs
--       that were due   6 field for the longest time in ms for which one was   7.. field, number, field, number ...
-- Result  1; 0 if the server does not take it: it is over its memory limit
--!include keys
local now = now_ms()
local first = redis.pcall('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
local most = {}
most[ARGV[5]], most[ARGV[6]] = count('ZCOUNT', KEYS[1], '-inf', whole(now)), 0
local oldest = type(first) == 'table' and first[2] and tonumber(first[2])
if oldest then
  most[ARGV[6]] = math.floor(math.max(0, math.min(now - oldest, 1e14)))
end
local base = prefix .. 'stats:' .. ARGV[2] .. ':'
local minute = math.floor(now / 60000)
local lives = {}
lives[base .. whole(minute)], lives[base .. 'h:' .. whole(math.floor(minute / 10))] = ARGV[3], ARGV[4]
for key, life_ms in pairs(lives) do
  local kind = redis.call('TYPE', key).ok
  if kind ~= 'hash' and kind ~= 'none' then
    redis.call('DEL', key)
  end
  for field, found in pairs(most) do
    local before = number(redis.call('HGET', key, field))
    if not before or before < found then
      local answer = redis.pcall('HSET', key, field, whole(found))
      if type(answer) == 'table' and answer.err then
        return 0
      end
    end
  end
  redis.call('PEXPIRE', key, life_ms)
  for i = 7, #ARGV, 2 do
    redis.pcall('HINCRBY', key, ARGV[i], ARGV[i + 1])
  end
end
return 1
