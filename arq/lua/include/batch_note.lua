-- What claim.lua notes of the `taken` jobs that it gives to a worker, see include/batches.lua. `ours`: their ids, if all had the same score
-- before, or id, score before, id, ...
local note, many = nil, same_score and taken or 2 * taken
if string.find(queue .. table.concat(ours, '', 1, many), '\n', 1, true) then
  local lines = {'%' .. lapse}
  local function add(line)
    lines[#lines + 1] = string.gsub(string.gsub(line, '%%', '%%25'), '\n', '%%0A')
  end
  add(queue)
  for i = 1, many do
    add(ours[i])
    if same_score then
      add(i == 1 and same_score or '')
    end
  end
  note = table.concat(lines, '\n')
elseif same_score then
  note = lapse .. '\n' .. queue .. '\n' .. ours[1] .. '\n' .. same_score
  if taken > 1 then
    note = note .. '\n' .. table.concat(ours, '\n\n', 2, taken) .. '\n'
  end
else
  note = lapse .. '\n' .. queue .. '\n' .. table.concat(ours, '\n', 1, many)
end
