-- The results of jobs, for people: nothing is changed.
--
-- ARGV  1 prefix   2 bytes of a result at most: of a larger one only its size is given   3.. job ids
-- Result  for each job the result, or its size, or false
--!include keys
local most_bytes, answers = tonumber(ARGV[2]), {}
for i = 3, #ARGV do
  local size = count('STRLEN', RESULT .. ARGV[i])
  answers[#answers + 1] = size > 0 and (size > most_bytes and size or text_at(RESULT .. ARGV[i]))
end
return answers
