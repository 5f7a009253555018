-- What claim.lua notes of the jobs that it gives to a worker, see include/batches.lua. `held`: id, score before the claim, id, ...
local function batch_note(lapse, queue, held)
  if not string.find(queue .. table.concat(held), '\n', 1, true) then
    return lapse .. '\n' .. queue .. '\n' .. table.concat(held, '\n')
  end
  local lines = {'%' .. lapse}
  local function add(line)
    lines[#lines + 1] = string.gsub(string.gsub(line, '%%', '%%25'), '\n', '%%0A')
  end
  add(queue)
  for _, line in ipairs(held) do
    add(line)
  end
  return table.concat(lines, '\n')
end
