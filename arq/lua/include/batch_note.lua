-- What claim.lua notes of the jobs that it gives to a worker, see include/batches.lua. `ours`: id, score before the claim, id, ...
local note
if not string.find(queue .. table.concat(ours), '\n', 1, true) then
  note = lapse .. '\n' .. queue .. '\n' .. table.concat(ours, '\n')
else
  local lines = {'%' .. lapse}
  local function add(line)
    lines[#lines + 1] = string.gsub(string.gsub(line, '%%', '%%25'), '\n', '%%0A')
  end
  add(queue)
  for _, line in ipairs(ours) do
    add(line)
  end
  note = table.concat(lines, '\n')
end
