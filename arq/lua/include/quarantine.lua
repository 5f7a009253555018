-- For claim.lua: which suspects a worker may take beside what it runs. A job that was suspected once is tried beside few others,
-- one that was suspected more often alone. What a worker has run for a while without harm is not counted.
--
-- ARGV  13 how many few are   14 how many running suspects are not counted   15 a suspect for which there is not room enough:
--       'leave' it | 'room': if no other worker makes room for one, this one has to | 'beside': it has waited, take it
local few, uncounted, without_room = tonumber(ARGV[13]), tonumber(ARGV[14]), ARGV[15]
-- A worker that makes room asks more often than that.
local ROOM_MS = 5000
-- Jobs that may be taken here in all; whether a suspect was left; the one for which this worker is to make room.
local most_here, left_suspect, awaited = math.huge, false, nil
local held_before

local function counted()
  held_before = held_before or count('HLEN', claims)
  return held_before - uncounted + #jobs
end

local function is_admitted(id, crashes)
  local level = recall_crashes(crashes)
  if level == 0 then -- nothing that we have written
    return true
  end
  local key, owner = QUARANTINE .. queue, nil
  local is_admissible = without_room == 'beside' or counted() < (level > 1 and 1 or few)
  if without_room ~= 'leave' then
    owner = text_at(key)
  end
  if is_admissible then
    most_here = math.min(most_here, level > 1 and #jobs + 1 or math.max(#jobs + 1, few - counted() + #jobs))
    if owner == worker then
      redis.call('DEL', key)
    end
    return true
  end
  left_suspect = true
  if without_room == 'room' and not awaited and (not owner or owner == worker) then
    write('SET', key, worker, 'PX', ROOM_MS)
    awaited = id
  end
  return false
end
