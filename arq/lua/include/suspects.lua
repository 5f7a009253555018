-- What is known of a job during whose runs processes died: 'HALVES BLAMED CAUSE'. HALVES: how often it was suspected, times two;
-- BLAMED: how many of these deaths it was blamed for; CAUSE: of the last one, as 'signal 9'. Returns the first two.
local function recall_crashes(note)
  local halves, blamed = string.match(note or '', '^(%d+) (%d+) ')
  return tonumber(halves) or 0, tonumber(blamed) or 0
end

local function level_of(halves)
  return math.floor(halves / 2)
end
