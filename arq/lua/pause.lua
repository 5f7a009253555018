-- Pause a queue: no worker is given a job from now on. Again: another name and note, the time stays.
--
-- KEYS  1 what says that the queue is paused (text)
-- ARGV  1 prefix   2 a line's end, by whom, a line's end, and why
-- Result  'paused', or 'taken' if that key is something else, a queue for example
--!include keys
local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'none' and kind ~= 'string' then
  return 'taken'
end
local since = string.match(text_at(KEYS[1]) or '', '^(%d+)%s') or whole(now_ms())
write('SET', KEYS[1], since .. ARGV[2]) -- also on a server that is full
return 'paused'
