-- What every job needs: names of keys, numbers, careful writing. Every script gets the prefix of all keys as its first argument.
-- It ends in 'arq:'; what stands before that, mostly nothing, is before the keys of queues, too.
-- (Each local variable and function of a script costs its callers time, whether it is used or not: what few need stands in rest.lua.)
local prefix = ARGV[1]
local JOB, LOCK, RETRY = prefix .. 'job:', prefix .. 'in-progress:', prefix .. 'retry:'
local RESULT, EPOCH = prefix .. 'result:', prefix .. 'epoch:'

-- Redis's clock in us: the clocks of producers and workers need not agree.
local function now_us()
  local t = redis.call('TIME')
  return t[1] * 1000000 + t[2]
end

-- A whole number as text; Lua's own conversion turns large ones into 1.7e+12.
local function whole(n)
  return string.format('%.0f', n)
end

-- A number that other programs, other versions or nobody may have left: what is no whole number, like `inf`, is nil.
local function number(text)
  local n = text and string.find(text, '^-?%d+$') and tonumber(text)
  return n and n > -2^53 and n < 2^53 and n or nil
end

-- Keys may be of another type than they should be, and nothing that is found there may break a script off half-way:
-- then the keys of some jobs would be written, and others not. It counts as nothing.

-- What a command counts.
local function count(command, key, ...)
  local found = redis.pcall(command, key, ...)
  return type(found) == 'number' and found or 0
end

local function score_of(id, queue)
  local score = redis.pcall('ZSCORE', queue, id)
  return type(score) == 'string' and score
end

local function is_zset(key)
  return redis.call('TYPE', key).ok == 'zset'
end

-- A server over its memory limit refuses the first write of a script if that takes memory, and asks no more after any other
-- write. What workers write lets such a server be emptied, so they go on with one that finds nothing.
local function write_though_full(...)
  local answer = redis.pcall(...)
  if type(answer) == 'table' and answer.err and string.find(tostring(answer.err), 'OOM', 1, true) then
    redis.call('HDEL', prefix .. 'claims:', '')
    answer = redis.pcall(...)
  end
  return answer
end

-- A write to a key of ours: what is of another type there is nobody's, and makes room.
local function write(command, key, ...)
  local answer = write_though_full(command, key, ...)
  if type(answer) == 'table' and answer.err then
    if string.find(tostring(answer.err), 'WRONGTYPE', 1, true) then
      redis.call('DEL', key)
    end
    return redis.call(command, key, ...)
  end
  return answer
end

-- `command key value value ...` in pieces: Lua can unpack some 8000 values at most. `run`: redis.call or `write`. `option`
-- may be nil.
local function in_pieces(run, command, key, option, values)
  for i = 1, #values, 1000 do
    local last = math.min(i + 999, #values)
    if option then
      run(command, key, option, unpack(values, i, last))
    else
      run(command, key, unpack(values, i, last))
    end
  end
end
