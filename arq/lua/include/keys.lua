-- The keys of one job, and the time. Every script gets the prefix of all keys as its first argument.
local prefix = ARGV[1]
local JOB, LOCK, RETRY = prefix .. 'job:', prefix .. 'in-progress:', prefix .. 'retry:'
local RESULT, INTERRUPTED = prefix .. 'result:', prefix .. 'interrupted:'
local CLAIMS, EPOCH, LEFT = prefix .. 'claims:', prefix .. 'epoch:', prefix .. 'left:'
local WAKE = prefix .. 'wake:'

-- Redis's clock in us and ms: the clocks of producers and workers need not agree.
local function now_us()
  local t = redis.call('TIME')
  return t[1] * 1000000 + t[2]
end

local function now_ms()
  return math.floor(now_us() / 1000)
end

-- A whole number as text; Lua's own conversion turns large ones into 1.7e+12.
local function whole(n)
  return string.format('%.0f', n)
end

-- `command key value value ...` in pieces: Lua can unpack some 8000 values at most. `option` may be nil.
local function in_pieces(command, key, option, values)
  for i = 1, #values, 1000 do
    local last = math.min(i + 999, #values)
    if option then
      redis.call(command, key, option, unpack(values, i, last))
    else
      redis.call(command, key, unpack(values, i, last))
    end
  end
end

-- What the claims hash says of a job: the score before the claim, the score that the claim gave it, the stamp that tells
-- this claim from every other one, and the queue.
local function remember(old_score, lapse, stamp, queue)
  return old_score .. ' ' .. lapse .. ' ' .. stamp .. ' ' .. queue
end

local function recall(note)
  return string.match(note, '^(%S+) (%S+) (%S+) (.*)$')
end

-- A third of the time that `recall` takes.
local function has_stamp(note, stamp)
  return string.find(note, ' ' .. stamp .. ' ', 1, true) ~= nil
end

-- Whether a job is still a worker's: the lock names the worker, or it lapsed and nobody has taken the job since, which the
-- score shows.
local function is_held_by(worker, id, owner, note)
  if owner then
    return owner == worker
  end
  if not note then
    return false
  end
  local _, lapse, _, queue = recall(note)
  return redis.call('ZSCORE', queue, id) == lapse
end
