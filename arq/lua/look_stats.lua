-- For operators: what is counted of a queue.
--
-- KEYS  counts of a minute, or of ten (hashes)
-- ARGV  1 prefix
-- Result  for each key {field, number, field, number, ...}
--!include keys
local rows = {}
for i, key in ipairs(KEYS) do
  rows[i] = redis.call('TYPE', key).ok == 'hash' and redis.call('HGETALL', key) or {}
end
return rows
