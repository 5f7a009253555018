-- A job as an operator has seen it: '' whatever it is, 'payload SHA1' or 'result SHA1', 'payload none' where the payload has expired, or
-- 'part SIZE FIRST LAST SHA1' where so many of its first and last bytes were seen.
-- With another one somebody has enqueued another job with the same id meanwhile.
local function is_as_listed(wanted, payload, result)
  local size, first, last, of_part = string.match(wanted, '^part (%d+) (%d+) (%d+) (%w+)$')
  if size then
    local seen = payload and #payload == tonumber(size)
    return seen and redis.sha1hex(string.sub(payload, 1, first) .. string.sub(payload, -last)) == of_part
  end
  local kind, sha = string.match(wanted, '^(%a+) (%w+)$')
  local bytes = kind == 'payload' and payload or kind == 'result' and result
  if sha == 'none' then
    return not bytes
  end
  return bytes and redis.sha1hex(bytes) == sha
end
