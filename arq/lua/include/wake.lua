-- Wake-up tokens. One waiting token is enough: who takes it sees all due jobs, and passes a token on if it can't run them all.
local WAKE_TTL_MS = 60000

local function wake_one(wake)
  if count('LLEN', wake) == 0 then
    write('RPUSH', wake, '1')
    redis.call('PEXPIRE', wake, WAKE_TTL_MS)
  end
end
