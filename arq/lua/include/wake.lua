-- Wake-up tokens. One waiting token is enough: who takes it sees all due jobs, and passes a token on if it can't run them all.
local WAKE_TTL_MS = 60000

local function wake_one(wake)
  if redis.call('LLEN', wake) == 0 then
    redis.call('RPUSH', wake, '1')
    redis.call('PEXPIRE', wake, WAKE_TTL_MS)
  end
end
