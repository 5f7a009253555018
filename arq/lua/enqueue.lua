-- Put jobs into one queue, unless a job with the same id is queued, running or has a result.
--
-- KEYS  1 queue (zset)   2 its wake-up tokens (list)   3 workers that look at this queue (zset)   4 requests to abort (zset)
-- ARGV  1 prefix   2 ms that a job outlives its due time
--       then for each group of jobs: when, expiry, tick, how many, and for each of them: id, payload
--         when    '' now | '+MS' or '-MS' relative to now | 'MS' unix time
--         expiry  '' as ARGV 2 says | ms from now
--         tick    '' | 'MS AHEAD HASH SCHEDULE' of a unique cron job: planned time, how far workers look ahead, and two names
--                 of its schedule; refused if this run of it was enqueued in this queue before (HASH '-': that is not looked up).
--                 'AHEAD+': the queue is paused, and this run takes the place of earlier ones that wait there
-- Result  one number a job: 1 enqueued, 0 refused
--!include basics
--!include wake
--!include msetex
local queue, wake, workers, aborts = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local name = string.sub(queue, #prefix - 3) -- the queue's, without what all keys begin with
local extra_ms, HEAD, FIRST = tonumber(ARGV[2]), 4, 3
local now = math.floor(now_us() / 1000)
redis.call('ZCARD', queue) -- a key of another type is refused here, before anything is written

-- Jobs that were given a place in this call, by their ids. They stand in the queue when it ends.
local given = {}

-- What is rarely needed: {is_free, new_tick}.
local function make_rarely_needed()
  --!include rest
  --!include batches

  -- A running job may have outlived its payload: its id is taken all the same. (`1` is a plain arq worker's lock, which it
  -- also leaves behind for a while after a cron job: such a lock has never kept anybody from enqueueing.)
  local function is_running_here(id)
    local owner = text_at(LOCK .. id)
    if not owner or owner == '1' then
      return false
    end
    local _, by_id = claims_of(owner)
    return by_id[id] ~= nil
  end

  -- Whether the id is free: no job, no result, none that is running. Mostly there is nothing at all, which one look shows.
  local function is_free(id)
    if redis.call('EXISTS', JOB .. id, RESULT .. id, LOCK .. id) == 0 then
      return true
    end
    return redis.call('EXISTS', JOB .. id, RESULT .. id) == 0 and not is_running_here(id)
  end

  -- The newest ticks of each schedule are remembered, so that a worker that comes late to one does not enqueue it once more.
  -- A tick is known if it is among them, or older than all of them when there are so many. Those that lie further ahead than
  -- workers look were planned by a clock that is wrong: they are told apart by their ids alone.
  local MOST_TICKS, TICKS_TTL_MS = 120, 604800000
  -- What workers of 0.29.0 look at: the last tick, that is, a number. Ours have a blank at its end; one without it is theirs.
  local MARK_TTL_MS = 86400000

  local function is_known(ticks, mark, ms, latest)
    if redis.call('ZSCORE', ticks, ms) then
      return true
    end
    if redis.call('ZCOUNT', ticks, '-inf', latest) >= MOST_TICKS then
      local oldest = redis.call('ZRANGE', ticks, 0, 0)[1]
      if tonumber(ms) < tonumber(oldest) then
        return true
      end
    end
    -- They note a tick also when its id was taken by another queue. One that is still to come is in this queue, or not.
    local theirs = mark and tonumber(ms) <= now and string.match(mark, '^%-?%d+$')
    return theirs and tonumber(ms) <= tonumber(theirs) and tonumber(theirs) <= latest
  end

  local function remember_tick(ticks, mark_key, mark, ms, latest)
    redis.call('ZADD', ticks, ms, ms)
    local surplus = redis.call('ZCOUNT', ticks, '-inf', latest) - MOST_TICKS
    if surplus > 0 then
      redis.call('ZREMRANGEBYRANK', ticks, 0, surplus - 1)
    end
    redis.call('PEXPIRE', ticks, TICKS_TTL_MS)
    local last = mark and tonumber(mark)
    if not last or last < tonumber(ms) or last > latest then
      redis.call('SET', mark_key, ms .. ' ', 'PX', MARK_TTL_MS)
    end
  end

  -- The id for a tick. `NAME:MS` is that of plain arq workers, too. Ids are not divided by queues: if another queue has it, ours
  -- gets a second one. nil: the tick is in this queue, or was.
  local function id_of_tick(id, ms)
    if string.sub(id, -#ms - 1) ~= ':' .. ms then
      return is_free(id) and id or nil
    end
    if given[id] or redis.call('ZSCORE', queue, id) then
      return nil
    end
    if text_at(LOCK .. id) == '1' and redis.call('EXISTS', JOB .. id) == 0 then
      return nil -- a plain arq worker has run it, and left its lock to say so
    end
    if is_free(id) then
      return id
    end
    local second = id .. ':' .. name
    return is_free(second) and second or nil
  end

  -- What is of another type is none of our business: such a tick is told apart by its id alone.
  local function is_usable(key, type)
    local found = redis.call('TYPE', key).ok
    return found == type or found == 'none'
  end

  -- The queue is paused: of the runs of a schedule that fall due meanwhile only the newest is kept. One is removed with each that is
  -- added; those that were started before, and wait for another try, stay.
  local MOST_REMOVED = 3

  local function is_waiting(id)
    return given[id] == nil and redis.call('ZSCORE', queue, id) and redis.call('EXISTS', LOCK .. id, RETRY .. id) == 0
  end

  local function remove_earlier(id, ms, ticks)
    local schedule = string.sub(id, 1, -#ms - 1)
    if string.sub(id, -#ms) ~= ms then
      return -- an id of its own: the run that waits has it
    end
    for _, before in ipairs(redis.call('ZREVRANGEBYSCORE', ticks, '(' .. ms, '-inf', 'LIMIT', 0, MOST_REMOVED)) do
      for _, earlier in ipairs({schedule .. before, schedule .. before .. ':' .. name}) do
        if is_waiting(earlier) then
          redis.call('ZREM', queue, earlier)
          redis.call('DEL', JOB .. earlier)
        end
      end
    end
  end

  local function new_tick(id, tick)
    local ms, ahead_ms, replaces, hash, schedule = string.match(tick, '^(%-?%d+) (%d+)(%+?) (%S+) (.*)$')
    local latest = now + tonumber(ahead_ms)
    local ticks, mark_key = prefix .. 'ticks:' .. name .. ':' .. hash, prefix .. 'cron:' .. name .. ':' .. schedule
    if hash == '-' or not (is_usable(ticks, 'zset') and is_usable(mark_key, 'string')) then
      return id_of_tick(id, ms)
    end
    local mark = redis.call('GET', mark_key)
    if is_known(ticks, mark, ms, latest) then
      return nil
    end
    local found = id_of_tick(id, ms)
    if tonumber(ms) <= latest then
      remember_tick(ticks, mark_key, mark, ms, latest)
    end
    if found and replaces ~= '' then
      remove_earlier(id, ms, ticks)
    end
    return found
  end

  return {is_free, new_tick}
end

local IS_FREE, NEW_TICK = 1, 2
local rarely_needed

--!include rarely

local function due_at(when)
  if when == '' then
    return now
  end
  local sign = string.sub(when, 1, 1)
  if sign == '+' or sign == '-' then
    return now + tonumber(when)
  end
  return tonumber(when)
end

-- While the queue is paused nothing in it expires: the payload of a job lives so much longer at least than until the job is due.
local PAUSED_HERE, PAUSED_TTL_MS = prefix .. 'paused:' .. name, 604800000

-- Whether ids are free is mostly shown by one look for all of them: there is no result, no lock, and no pause. Whether there is a job is
-- seen when it is written.
local function has_none(first, stop)
  local names, n = {PAUSED_HERE}, 1
  for i = first, stop, 2 do
    names[n + 1] = RESULT .. ARGV[i]
    names[n + 2] = LOCK .. ARGV[i]
    n = n + 2
  end
  return redis.call('EXISTS', unpack(names)) == 0
end

local answers, added, count_answers, count_added = {}, {}, 0, 0

local function add(id, score)
  added[count_added + 1], added[count_added + 2] = score, id
  count_added = count_added + 2
  given[id] = true
end

-- All jobs of a group in one command; returns whether that is done. An id that was given a place in this call is looked at by itself:
-- one command would write the texts of both, and say that none was there.
local function add_together(first, stop, score, ttl)
  local words, n, is_given = {}, 0, false
  for i = first, stop, 2 do
    local id = ARGV[i]
    is_given = given[id]
    if is_given then
      break
    end
    given[id] = true
    words[n + 1] = JOB .. id
    words[n + 2] = ARGV[i + 1]
    n = n + 2
  end
  words[n + 1], words[n + 2], words[n + 3] = 'NX', 'PX', ttl
  if is_given or msetex(redis.pcall, n / 2, words) ~= 1 then
    for i = first, first + n - 1, 2 do
      given[ARGV[i]] = nil
    end
    return false
  end
  for i = first, stop, 2 do
    add(ARGV[i], score)
    count_answers = count_answers + 1
    answers[count_answers] = 1
  end
  return true
end

local function add_each(first, stop, score, ttl, tick, are_free)
  for i = first, stop, 2 do
    local id, is_added = ARGV[i], false
    if tick ~= '' then
      id = rarely(NEW_TICK, id, tick)
    elseif not are_free and not rarely(IS_FREE, id) then
      id = nil
    end
    if id and redis.call('SET', JOB .. id, ARGV[i + 1], 'NX', 'PX', ttl) then
      add(id, score)
      is_added = true
    end
    count_answers = count_answers + 1
    answers[count_answers] = is_added and 1 or 0
  end
end

local at = FIRST
while at <= #ARGV do
  local score, tick, first = due_at(ARGV[at]), ARGV[at + 2], at + HEAD
  local stop = first + 2 * ARGV[at + 3] - 1
  local are_free = tick == '' and has_none(first, stop)
  local ttl = math.max(1, tonumber(ARGV[at + 1]) or math.max(score - now, 0) + extra_ms)
  if not are_free and redis.call('MGET', PAUSED_HERE)[1] then
    ttl = math.max(ttl, math.max(score - now, 0) + PAUSED_TTL_MS)
  end
  score, ttl = whole(score), whole(ttl)
  local may_be_together = are_free and has_msetex and stop - first > 1
  if not (may_be_together and add_together(first, stop, score, ttl)) then
    add_each(first, stop, score, ttl, tick, are_free)
  end
  at = stop + 1
end

if count_added > 0 then
  in_pieces(redis.call, 'ZADD', queue, nil, added)
  if is_zset(aborts) then -- a request to abort was meant for an earlier job with this id
    for i = 2, count_added, 2 do
      redis.call('ZREM', aborts, added[i])
    end
  end
  if redis.call('EXISTS', workers) == 1 then
    wake_one(wake)
  end
end
return answers
