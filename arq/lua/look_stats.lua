-- For operators: what is counted of a queue.
--
-- KEYS  counts of a minute, or of ten (hashes)
-- ARGV  1 prefix   2 how many keys
-- Result  for each key {field, number, field, number, ...}
--!include keys
local rows = {}
for i = 1, tonumber(ARGV[2]) do
  local key = KEYS[i]
  rows[i] = redis.call('TYPE', key).ok == 'hash' and redis.call('HGETALL', key) or {}
end
return rows
