-- What is kept of jobs in a dead set.
--
-- KEYS  1 dead set (zset)
-- ARGV  1 prefix   2 bytes of a payload at most; of larger ones only their size is told   then ids
-- Result  {now in ms, for each {time of death in ms or false, payload or its size, entry or false, errors of earlier tries}}
--!include keys
--!include dead
local dead, most, rows = KEYS[1], tonumber(ARGV[2]), {}
for i = 3, #ARGV do
  local id = ARGV[i]
  local found = redis.pcall('HMGET', DEAD .. id, 'payload', 'entry')
  if found.err then
    found = {false, false}
  end
  local payload = found[1] or ''
  local errors = redis.pcall('LRANGE', ERRORS .. id, 0, -1)
  rows[#rows + 1] = {score_of(id, dead), #payload > most and #payload or payload, found[2], errors.err and {} or errors}
end
return {now_ms(), rows}
