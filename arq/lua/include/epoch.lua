-- Let no claim of a worker count any more that is of an earlier epoch.
local function refuse_claims_before(worker, first)
  -- Longer than any network keeps a command: TCP gives up after a quarter of an hour.
  local EPOCH_TTL_MS = 3600000
  local epoch = EPOCH .. worker
  if tonumber(first) > (number(text_at(epoch)) or 0) then
    write('SET', epoch, first, 'PX', EPOCH_TTL_MS)
  end
end
