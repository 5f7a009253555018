-- A claim of one job: {id, score before the claim, score that the claim gave it, stamp that tells this claim from all others, queue}.
local ID, SCORE, LAPSE, STAMP, QUEUE = 1, 2, 3, 4, 5

-- All claims of a worker, and the same by the jobs' ids. What is no note of ours has its id only.
local function claims_of(worker)
  local claims, by_id = {}, {}
  local held = all_of(CLAIMS .. worker)
  for i = 1, #held, 2 do
    local claim = {held[i], recall(held[i + 1])}
    claims[#claims + 1] = claim
    by_id[held[i]] = claim
  end
  return claims, by_id
end
