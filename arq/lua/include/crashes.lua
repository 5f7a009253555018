-- Of jobs that ran together, one that was suspected so often (times two), and more often than all others, is blamed.
local SURE, HIGHEST = 6, 18
-- A suspect that has run for so long without harm is less likely than one that has not.
local TRIAL_US = 30000000

-- Which of the jobs that a process ran is blamed for its death: its number, or nil if nobody can tell.
local function find_culprit(halves)
  if #halves == 1 then
    return 1
  end
  local highest, culprit = SURE - 1, nil
  for n, times in ipairs(halves) do
    if times > highest then
      highest, culprit = times, n
    elseif times == highest then
      culprit = nil
    end
  end
  return culprit
end

-- By how much each of them is suspected more; `stamps`: us at which they were claimed.
local function suspicions(halves, stamps)
  local now, are_old, any_young, found = now_us(), {}, false, {}
  for n in ipairs(halves) do
    are_old[n] = now - (number(stamps[n]) or now) >= TRIAL_US
    any_young = any_young or not are_old[n]
  end
  for n, times in ipairs(halves) do
    found[n] = are_old[n] and any_young and times > 0 and 1 or 2
  end
  return found
end

-- Their process has died. The start of the one that is blamed counts, those of the others do not: they are suspects.
-- Returns the id of the one that is blamed, or '', and whether any of them was a suspect before.
local function blame(ids, stamps, cause, ttl_s)
  local halves, blames, any = {}, {}, false
  for n, id in ipairs(ids) do
    halves[n], blames[n] = recall_crashes(text_at(CRASHES .. id))
    any = any or halves[n] > 0
  end
  local culprit, more = find_culprit(halves), suspicions(halves, stamps)
  for n, id in ipairs(ids) do
    local times, blamed = math.min(halves[n] + more[n], HIGHEST), blames[n]
    if n == culprit then
      times, blamed = math.max(times, 4), blamed + 1 -- from now on it is alone
    else
      forgive(id, ttl_s, '')
    end
    write('SET', CRASHES .. id, whole(times) .. ' ' .. whole(blamed) .. ' ' .. cause, 'EX', ttl_s)
  end
  return culprit and ids[culprit] or '', any
end
