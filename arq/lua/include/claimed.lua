-- What the worker needs to run a job: id, score before the claim, payload, number of this start, how many starts were
-- interrupted, and whether somebody asked to abort it. A job whose payload has expired has false instead of it.
local function claimed(id, score, values, try, aborted)
  return {id, score, values[1], try, tonumber(values[3]) or 0, aborted}
end
