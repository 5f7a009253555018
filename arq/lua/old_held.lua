-- Which due jobs workers of python-arq have, for people: they leave them in their places, and only lock them. Nothing is changed.
--
-- KEYS  1 queue (zset)
-- ARGV  1 prefix   2 rank of the first entry to look at   3 how many
-- Result  {number of entries that were looked at, ids}
--!include keys
local ids, names, held = redis.call('ZRANGE', KEYS[1], ARGV[2], ARGV[2] + ARGV[3] - 1), {}, {}
for n, id in ipairs(ids) do
  names[n] = LOCK .. id
end
local owners = #names > 0 and redis.call('MGET', unpack(names)) or {}
for n, id in ipairs(ids) do
  if owners[n] == '1' then
    held[#held + 1] = id
  end
end
return {#ids, held}
