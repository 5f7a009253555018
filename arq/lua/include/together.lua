-- Texts with an expiry at several keys: MSETEX, where the server has it (Redis 8.4, Valkey 9.1). Else MSET or MSETNX for all, and
-- PEXPIREAT for each, which is what Redis has the least work with: SET with an expiry is written anew for replicas, and takes more words.
-- Not on a cluster, where the last key is this one: Valkey 9.1 loses what MSETEX has written while it moves a slot.
local is_on_cluster = KEYS[#KEYS] == prefix .. 'never'
local has_msetex = (redis.REDIS_VERSION_NUM or 0) >= 525312 or (redis.VALKEY_VERSION_NUM or 0) >= 590080

-- `words`: key, text, key, ...: `last` of them. `is_new`: only if there is nothing at any of the keys. `ttl_ms`: a text, '' for ever. `now`: unix ms, or
-- nil: then it is asked for. Returns 1: it is done, 0: there is something, nil: it has to be done one by one, because the server refuses it.
local function set_together(words, last, is_new, ttl_ms, now)
  if is_on_cluster or not (has_msetex or now or last > 32) then -- little is gained
    return nil
  end
  if has_msetex and ttl_ms ~= '' then
    local at = last
    if is_new then
      words[last + 1], at = 'NX', last + 1
    end
    words[at + 1], words[at + 2] = 'PX', ttl_ms
    local answer = redis.pcall('MSETEX', last / 2, unpack(words, 1, at + 2))
    if type(answer) == 'number' then
      return answer
    end
  end
  if not now and ttl_ms ~= '' then
    local t = redis.call('TIME')
    now = t[1] * 1000 + math.floor(t[2] / 1000)
  end
  local answer = redis.pcall(is_new and 'MSETNX' or 'MSET', unpack(words, 1, last))
  if answer == 0 then
    return 0
  end
  if type(answer) == 'table' and answer.err then
    return nil
  end
  if ttl_ms == '' then
    return 1
  end
  local until_ms = string.format('%d', now + ttl_ms)
  if type(redis.pcall('PEXPIREAT', words[1], until_ms)) ~= 'number' then -- may this user do that at all?
    for i = 1, last, 2 do
      redis.call('DEL', words[i])
    end
    return nil
  end
  local call = redis.call
  for i = 3, last, 2 do
    call('PEXPIREAT', words[i], until_ms)
  end
  return 1
end
