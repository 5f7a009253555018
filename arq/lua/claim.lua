-- Take due jobs for a worker: lock them, count the start, and move their score to the time at which the lock lapses, so that
-- nobody looks at them again before.
--
-- KEYS  1 queue (zset)   2 its wake-up tokens (list)   3 claims of this worker (hash)   4 workers that look at this queue (zset)
--       5 requests to abort (zset)   6 workers that are presumed alive (zset)
-- ARGV  1 prefix   2 worker id   3 most jobs to take   4 ms until the locks lapse   5 s until the start counters expire
--       6 score to begin at: '-inf', or what the last claim said   7 '1': look at the requests to abort
--       8 '1': leave a fair share to the other workers   9 epoch of this claim   10 '1': it waited behind BLPOP for a token and
--       counts only if this worker holds nothing   11 cohorts of this worker, ' NAME NAME ' or '': what one of them has given back is
--       left to others for a while   12 bytes of payloads after which no more jobs are taken
--       13 - 15 about suspects, see include/quarantine.lua   16.. ids: take exactly these instead
-- Result  {now in ms, ms until the next job is due (0: more are due now, -1: none), score to begin at next time ('' from the
--         start), 1 if a fair share was left to others, jobs}; a job: see include/claimed.lua. And the id of a suspect for which this
--         worker is to make room, or ''; and what sweep.lua returns, if dead workers were found. Both only if there is one of them
--         {'unknown', 0} if this worker is not presumed alive: whoever released its jobs would not know of new ones
--         {'busy', 0} if it may only have jobs when it holds none, and holds some
--         {'late', E} if the worker has given this claim up: only those of epoch E and later count (reclaim.lua)
--!include keys
--!include wake
--!include claimed
--!include give_back
--!include suspects
--!include crashes
--!include release
--!include overdue
local queue, wake, claims, workers, aborts = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local EXACTLY = 16
local waited, cohorts = ARGV[10] == '1', ARGV[11]

-- The token that went before may not be lost: somebody must see what it was left for.
local function refuse(why, epoch)
  if waited and count('ZCARD', workers) > 0 and count('ZCARD', queue) > 0 then
    wake_one(wake)
  end
  return {why, epoch}
end

if not score_of(ARGV[2], KEYS[6]) then
  return refuse('unknown', 0)
end
local told = redis.call('MGET', EPOCH .. ARGV[2], PAUSED .. queue) -- neither needs a command of its own
local epoch = number(told[1]) or 0
if epoch > tonumber(ARGV[9]) then
  return refuse('late', epoch)
end
if waited and redis.call('EXISTS', claims) == 1 then
  return refuse('busy', 0)
end
local worker, limit, lock_ms, retry_ttl_s = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local begin_at, look_at_aborts, fair = ARGV[6], ARGV[7] == '1', ARGV[8] == '1'
if told[2] then -- the queue is paused: nothing is due that could be taken
  begin_at, EXACTLY = '+inf', math.huge
end
local most_bytes, bytes = tonumber(ARGV[12]), 0
local stamp = whole(now_us())
local now = math.floor(stamp / 1000)
local lapse = whole(now + lock_ms)
-- So many entries that others hold at the head of the queue are worth remembering where the rest begins.
local MANY_HELD = 16
local LARGEST_PAGE = 1000
-- Scores may be anything, up to infinity.
local LONGEST_WAIT_MS = 1e12

local jobs, scores, notes = {}, {}, {}
--!include quarantine
local aborts_asked = look_at_aborts and is_zset(aborts) and aborts
-- ms until the first job may be taken that is due and was left to others; nil: none was left
local left_ms
-- whether one of them was left by workers that go: those who stay must be told of it
local left_by_outgoing = false
-- what the names begin with of workers that have met something in a job which they can't read
local UNREAD = 'unread:'

-- Whether a worker that goes as this one does has given the job back: else it would be broken off over and over again.
local function is_left_to_others(id)
  local cohort = text_at(LEFT .. id)
  local ttl_ms = cohort and redis.call('PTTL', LEFT .. id) or -1
  if ttl_ms < 0 or not string.find(cohorts, ' ' .. cohort .. ' ', 1, true) then
    return false
  end
  left_ms = math.max(1, math.min(left_ms or math.huge, ttl_ms))
  left_by_outgoing = left_by_outgoing or string.sub(cohort, 1, #UNREAD) ~= UNREAD
  return true
end

-- What the locks are written with: the server may only refuse the first one (include/keys.lua).
local put = write

local function lock(id)
  -- Texts instead of numbers: Redis takes 1 us to turn a number into text, and there would be two for each job.
  local is_free = put('SET', LOCK .. id, worker, 'NX', 'PX', ARGV[4])
  put = redis.call
  if is_free then
    return true
  end
  if redis.call('TYPE', LOCK .. id).ok == 'string' then
    return false
  end
  redis.call('SET', LOCK .. id, worker, 'PX', ARGV[4]) -- no lock, but something else
  return true
end

-- Other producers of arq let a deferred job become due at this time when they ask to abort it: it must not be run early.
local DUE_FOR_ABORT = '1'

-- Who has not been heard of in time, once it was looked; and what sweep.lua would return of those whose jobs were given back here.
local missing, swept = nil, {}

-- Nobody holds a job that was started: if a worker is missing that had it, nobody has seen its death, and its locks have lapsed before.
-- Then it must be settled first whose fault that was, or the start counts as any other. A missing worker that still extends its
-- locks is left alone: only its supervisor has fallen silent.
local function settle_dead(id)
  local before = #swept
  missing = missing or overdue(KEYS[6])
  for _, dead in ipairs(missing) do
    if dead ~= worker and count('HEXISTS', CLAIMS .. dead, id) == 1 then
      redis.call('DEL', LOCK .. id) -- ours since a moment
      sweep(KEYS[6], dead, retry_ttl_s, swept)
    end
  end
  return #swept > before
end

local function take(id, score)
  if not lock(id) then
    return false
  end
  local values = redis.call('MGET', JOB .. id, RETRY .. id, INTERRUPTED .. id)
  if values[2] and settle_dead(id) then
    return take(id, redis.call('ZSCORE', queue, id))
  end
  if values[3] and cohorts ~= '' and is_left_to_others(id) then
    redis.call('DEL', LOCK .. id)
    return false
  end
  local try = (number(values[2]) or 0) + 1
  local crashes = try > 1 and text_at(CRASHES .. id)
  if crashes and not is_admitted(id, crashes) then
    redis.call('DEL', LOCK .. id)
    return false
  end
  redis.call('SET', RETRY .. id, try == 1 and '1' or whole(try), 'EX', retry_ttl_s)
  bytes = bytes + (values[1] and #values[1] or 0)
  jobs[#jobs + 1] = claimed(id, score, values, try, score == DUE_FOR_ABORT and aborts or aborts_asked, stamp, crashes)
  scores[#scores + 1] = lapse
  scores[#scores + 1] = id
  notes[#notes + 1] = id
  notes[#notes + 1] = remember(score, lapse, stamp, queue)
  return true
end

-- Then the queue is not any more as it was read.
local function has_swept()
  return #swept > 0
end

-- How many to take when there is not enough for all workers.
local function share()
  local alive = count('ZCOUNT', workers, now, '+inf')
  if alive < 2 then
    return limit
  end
  return math.min(limit, math.ceil(redis.call('ZCOUNT', queue, '-inf', now) / alive))
end

-- Such keys of a page of ids and scores: one command where most are held, instead of one for each.
local function at_page(kind, due)
  local names = {}
  for i = 1, #due, 2 do
    names[#names + 1] = kind .. due[i]
  end
  return #names > 0 and redis.call('MGET', unpack(names)) or names
end

-- Jobs that this worker can't read may be many, all of them at the head of the queue.
local has_unread = string.find(cohorts, ' ' .. UNREAD, 1, true)

-- Take from the head of the queue; returns whether more is due, how many were held by others, and the last score seen.
local function take_due(most)
  local offset, held, last = 0, 0, nil
  while true do
    -- One more than wanted: is there more? And larger pages the more is held, to be through with it soon.
    local size = math.min(LARGEST_PAGE, most - #jobs + 1 + 3 * held)
    local due = redis.call('ZRANGEBYSCORE', queue, begin_at, now, 'WITHSCORES', 'LIMIT', offset, size)
    local locks, left_by = at_page(LOCK, due), has_unread and at_page(LEFT, due) or {}
    for i = 1, #due, 2 do
      if #jobs >= most or #jobs >= most_here or bytes >= most_bytes or has_swept() then
        return true, held, last
      end
      last = due[i + 1]
      local n = (i + 1) / 2
      if locks[n] or (left_by[n] and is_left_to_others(due[i])) or not take(due[i], last) then
        held = held + 1
      end
    end
    if #due < 2 * size then
      return has_swept(), held, last
    end
    offset = offset + size
  end
end

local more, held, last, shared = false, 0, nil, 0
if #ARGV >= EXACTLY then
  for i = EXACTLY, #ARGV do
    if bytes >= most_bytes then
      more = true
      break
    end
    local score = redis.call('ZSCORE', queue, ARGV[i])
    if score and tonumber(score) <= now and #jobs < most_here then
      take(ARGV[i], score)
    end
  end
else
  local most = limit
  if fair then
    most = math.max(share(), 1)
    shared = most < limit and 1 or 0
  end
  more, held, last = take_due(most)
  if bytes >= most_bytes then
    shared = 0 -- what is left was left for its size, and may be taken at once
  end
end

if #jobs > 0 then
  in_pieces(redis.call, 'ZADD', queue, 'XX', scores)
  in_pieces(write, 'HSET', claims, nil, notes)
  redis.call('PEXPIRE', claims, lock_ms + 60000)
end

local wait_ms = -1
if more then
  wait_ms = 0
else
  if begin_at == '-inf' and #ARGV < EXACTLY and not (left_ms or suspect_ms) then
    redis.call('DEL', wake) -- everything due is taken: tokens would wake others for nothing
  end
  local next_due = redis.call('ZRANGEBYSCORE', queue, '(' .. whole(now), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  if next_due[2] then
    wait_ms = math.min(math.max(1, tonumber(next_due[2]) - now), LONGEST_WAIT_MS)
  end
  if left_ms then
    wait_ms = wait_ms > 0 and math.min(wait_ms, left_ms) or left_ms
  end
  if suspect_ms then
    wait_ms = wait_ms > 0 and math.min(wait_ms, suspect_ms) or suspect_ms
  end
end
-- The next worker's turn: more is due, or was left to others, or has no room here, or we have taken all we can and somebody else
-- must know when the next job is due.
if (more or left_by_outgoing or awaited or (wait_ms > 0 and #jobs == limit and not waited)) and count('ZCARD', workers) > 1 then
  wake_one(wake)
end
if has_swept() then
  return {now, wait_ms, '', more and shared or 0, jobs, awaited or '', swept}
end
return {now, wait_ms, held >= MANY_HELD and last or '', more and shared or 0, jobs, awaited}
