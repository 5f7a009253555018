-- What is noted of a job that a worker has, or nil. The notes of each worker are read once. Needs include/batches.lua.
local claims_by_worker = {}

local function claim_by(worker, id)
  if not claims_by_worker[worker] then
    local _, by_id = claims_of(worker)
    claims_by_worker[worker] = by_id
  end
  return claims_by_worker[worker][id]
end
