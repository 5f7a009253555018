-- What is kept of jobs in a dead set.
--
-- KEYS  1 dead set (zset)
-- ARGV  1 prefix   2 bytes of a payload at most   3, 4 of a larger one so many of the first and of the last bytes are given   then ids
-- Result  {now in ms, for each {time of death in ms or false, payload or {its size, first bytes, last bytes}, entry or false, errors of earlier tries}}
--!include keys
--!include dead
local dead, most, first, last, rows = KEYS[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), {}
for i = 5, #ARGV do
  local id = ARGV[i]
  local found = redis.pcall('HMGET', DEAD .. id, 'payload', 'entry')
  if found.err then
    found = {false, false}
  end
  local payload = found[1] or ''
  local errors = redis.pcall('LRANGE', ERRORS .. id, 0, -1)
  if #payload > most then
    payload = {#payload, string.sub(payload, 1, first), string.sub(payload, -last)}
  end
  rows[#rows + 1] = {score_of(id, dead), payload, found[2], errors.err and {} or errors}
end
return {now_ms(), rows}
