-- Remove jobs from a dead set, with all that is known of them there.
--
-- KEYS  1 dead set (zset)
-- ARGV  1 prefix   then for each job: id, and 'dead MS': the time of its death, or ''
-- Result  for each job 'done', 'changed' (it has died again) or 'unknown'
--!include keys
--!include dead
local dead, answers = KEYS[1], {}

local function forget(id, wanted)
  local died = score_of(id, dead)
  if not died then
    return 'unknown'
  end
  if wanted ~= '' and wanted ~= 'dead ' .. died then
    return 'changed'
  end
  forget_dead(dead, {id})
  return 'done'
end

for i = 2, #ARGV, 2 do
  answers[#answers + 1] = forget(ARGV[i], ARGV[i + 1])
end
return answers
