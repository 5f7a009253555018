-- Let no claim of a worker count any more that is of an earlier epoch.
local function refuse_claims_before(worker, number)
  -- Longer than any network keeps a command: TCP gives up after a quarter of an hour.
  local EPOCH_TTL_MS = 3600000
  local epoch = EPOCH .. worker
  if tonumber(number) > (tonumber(redis.call('GET', epoch)) or 0) then
    redis.call('SET', epoch, number, 'PX', EPOCH_TTL_MS)
  end
end
