-- A job as an operator has seen it: '' whatever it is, 'payload SHA1' or 'result SHA1', or 'payload none' where the payload has expired.
-- With another one somebody has enqueued another job with the same id meanwhile.
local function is_as_listed(wanted, payload, result)
  local kind, sha = string.match(wanted, '^(%a+) (%w+)$')
  local bytes = kind == 'payload' and payload or kind == 'result' and result
  if sha == 'none' then
    return not bytes
  end
  return bytes and redis.sha1hex(bytes) == sha
end
