-- Of jobs that ran together, one that was suspected so often, and more often than all others, is blamed.
local SURE_LEVEL, HIGHEST_LEVEL = 3, 9

-- Which of the jobs that a process ran is blamed for its death: its number, or nil if nobody can tell.
local function find_culprit(levels)
  if #levels == 1 then
    return 1
  end
  local highest, culprit = SURE_LEVEL - 1, nil
  for n, level in ipairs(levels) do
    if level > highest then
      highest, culprit = level, n
    elseif level == highest then
      culprit = nil
    end
  end
  return culprit
end

-- Their process has died. The start of the one that is blamed counts, those of the others do not: they are suspects.
-- Returns the id of the one that is blamed, or '', and whether any of them was a suspect before.
local function blame(ids, cause, ttl_s)
  local levels, blames, any = {}, {}, false
  for n, id in ipairs(ids) do
    levels[n], blames[n] = recall_crashes(text_at(CRASHES .. id))
    any = any or levels[n] > 0
  end
  local culprit = find_culprit(levels)
  for n, id in ipairs(ids) do
    local level, blamed = math.min(levels[n] + 1, HIGHEST_LEVEL), blames[n]
    if n == culprit then
      level, blamed = math.max(level, 2), blamed + 1
    else
      forgive(id, ttl_s, '')
    end
    write('SET', CRASHES .. id, whole(level) .. ' ' .. whole(blamed) .. ' ' .. cause, 'EX', ttl_s)
  end
  return culprit and ids[culprit] or '', any
end
