-- Which jobs workers hold, for people: nothing is changed.
--
-- ARGV  1 prefix   2.. worker ids
-- Result  for each worker a list of {id, score before the claim, stamp of the claim, queue}; false stands for what is not known
--!include keys
--!include batches
local answers = {}
for i = 2, #ARGV do
  local rows = {}
  for _, claim in ipairs((claims_of(ARGV[i]))) do
    if text_at(LOCK .. claim[ID]) == ARGV[i] then
      rows[#rows + 1] = {claim[ID], claim[SCORE] or false, claim[STAMP] or false, claim[QUEUE] and name_of(claim[QUEUE]) or false}
    end
  end
  answers[#answers + 1] = rows
end
return answers
