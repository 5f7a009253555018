-- What the worker needs to run a job: id, score before the claim, payload, number of this start, how many starts were
-- interrupted, 1 if somebody asked to abort it, the claim's stamp, and for a job during whose runs processes died what is known
-- of that, see include/crashes.lua. A job whose payload has expired has false instead.
local function claimed(claim, payload, try, counts, aborts)
  local aborted = aborts and score_of(claim[ID], aborts)
  local crashes = counts[3] or nil
  return {claim[ID], claim[SCORE], payload, try, number(counts[2]) or 0, aborted and 1 or 0, claim[STAMP], crashes}
end
