-- What is known of a job during whose runs processes died: 'LEVEL BLAMED CAUSE'. LEVEL: how often it was suspected, 0 never;
-- BLAMED: how many of these deaths it was blamed for; CAUSE: of the last one, as 'signal 9'.
local function recall_crashes(note)
  local level, blamed = string.match(note or '', '^(%d+) (%d+) ')
  return tonumber(level) or 0, tonumber(blamed) or 0
end
