-- Texts with an expiry at several keys in one command: Redis 8.4 has it, and Valkey 9.1. Not on a cluster, where the last key is this
-- one: Valkey 9.1 loses what is written so while it moves a slot.
local has_msetex = ((redis.REDIS_VERSION_NUM or 0) >= 525312 or (redis.VALKEY_VERSION_NUM or 0) >= 590080)
  and KEYS[#KEYS] ~= prefix .. 'never'

-- `run`: redis.pcall, or write_though_full. `words`: key, value, key, ..., and what follows. Returns 1, or 0 if NX was asked for and one
-- of the keys is there; nil where the server refuses the command: then it must be done one by one.
local function msetex(run, count_keys, words)
  local answer = run('MSETEX', count_keys, unpack(words))
  has_msetex = type(answer) == 'number'
  return has_msetex and answer or nil
end
