-- For claim.lua: which suspects a worker may take beside what it runs. A job that was suspected once is tried beside few others,
-- one that was suspected more often alone. What a worker has run for a while without harm is not counted.
--
-- `few`: how many few are. `uncounted`: how many running suspects are not counted. `without_room`: a suspect for which there is not room
-- enough: 'leave' it | 'room': if no other worker makes room for one, this one has to | 'beside': it has waited, take it.
few, uncounted = tonumber(few), tonumber(uncounted)
-- Nobody makes room for a suspect that has just come back: the process that takes the place of the dead one is empty.
local PATIENCE_MS = 5000
-- A worker that makes room asks more often than that.
local ROOM_MS = 5000
local held_before

local function count_held()
  local held_here = 0
  for _, owner in ipairs(owners_of((claims_of(worker)))) do
    held_here = held_here + (owner == worker and 1 or 0)
  end
  return held_here
end

local function counted()
  held_before = held_before or count_held()
  return held_before - uncounted + taken
end

local function leave(id, key, owner)
  local died_ms = retry_ttl_s * 1000 - redis.call('PTTL', CRASHES .. id)
  suspect_ms = math.min(suspect_ms or math.huge, died_ms < PATIENCE_MS and PATIENCE_MS - died_ms or ROOM_MS)
  if without_room == 'room' and not awaited and died_ms >= PATIENCE_MS and (not owner or owner == worker) then
    write('SET', key, worker, 'PX', ROOM_MS)
    awaited = id
  end
end

local function is_admitted(id, crashes)
  local level = level_of(recall_crashes(crashes))
  if level == 0 then -- nothing that we have written
    return true
  end
  local key = QUARANTINE .. name_of(queue)
  local owner = without_room ~= 'leave' and text_at(key)
  if without_room ~= 'beside' and counted() >= (level > 1 and 1 or few) then
    leave(id, key, owner)
    return false
  end
  most_here = math.min(most_here, level > 1 and taken + 1 or math.max(taken + 1, few - counted() + taken))
  if owner == worker then
    redis.call('DEL', key)
  end
  return true
end
