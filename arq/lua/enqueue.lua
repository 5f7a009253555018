-- Put jobs into one queue, unless a job with the same id is queued, running or has a result.
--
-- KEYS  1 queue (zset)   2 its wake-up tokens (list)   3 workers that look at this queue (zset)
-- ARGV  1 prefix   2 ms that a job outlives its due time, 1 or more
--       then for each group of jobs: how many, and of each of them: id, payload. With a number below 0 these come before:
--         when    '' now | '+MS' or '-MS' relative to now | 'MS' unix time
--         expiry  '' as ARGV 2 says | ms from now
--         tick    '' | 'MS AHEAD HASH SCHEDULE' of a unique cron job: planned time, how far workers look ahead, and two names
--                 of its schedule; refused if this run of it was enqueued in this queue before (HASH '-': that is not looked up).
--                 'AHEAD+': the queue is paused, and this run takes the place of earlier ones that wait there
-- Result  how many were enqueued, if all were; else one number a job: 1 enqueued, 0 refused
local call, try, args, prefix = redis.call, redis.pcall, ARGV, ARGV[1]
local queue, wake, workers, aborts = KEYS[1], KEYS[2], KEYS[3], prefix .. 'abort'
local name = string.sub(queue, #prefix - 3) -- the queue's, without what all keys begin with
-- While the queue is paused nothing in it expires: the payload of a job lives so much longer at least than until the job is due.
local PAUSED_HERE, PAUSED_TTL_MS = prefix .. 'paused:' .. name, 604800000
-- Numbers become text here and not in each command that takes them, and by %d, which takes less than other formats, or none.
local t = call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local now_text = string.format('%d', now)
-- How many jobs there are, and which of them were refused. Of the others: score, id, ...
local count_jobs, is_refused, added, count_added = 0, {}, {}, 0
local at, last = 3, #args

-- One job that is due now: what that costs is mostly calls of commands.
if last == 5 then
  local id, job = args[4], prefix .. 'job:' .. args[4]
  if call('EXISTS', PAUSED_HERE, prefix .. 'result:' .. id, prefix .. 'in-progress:' .. id, job) == 0 then
    call('ZADD', queue, now_text, id) -- a key of another type is refused here, before anything is written
    call('SET', job, args[5], 'PX', args[2])
    count_jobs, added[2], count_added, last = 1, id, 2, 0
  end
end

if at < last then
  local JOB, LOCK, RESULT = prefix .. 'job:', prefix .. 'in-progress:', prefix .. 'result:'
  -- Jobs that were given a place in this call, by their ids, where somebody asks. They stand in the queue when it ends.
  local given
  call('ZCARD', queue) -- a key of another type is refused here, before anything is written
  while at < last do
    local many, first, when, expiry, tick = tonumber(args[at]), at + 1, '', '', ''
    if many < 0 then
      many, first, when, expiry, tick = -many, at + 4, args[at + 1], args[at + 2], args[at + 3]
    end
    at = first + 2 * many

    -- Whether ids are free is mostly shown by one look for all of them: there is no result, no lock, and no pause. Whether there is a job
    -- is seen when it is written.
    local are_free, are_different = false, true
    local words, n = {}, 0
    if tick == '' then
      local names, is_known = {PAUSED_HERE}, {}
      for i = first, at - 1, 2 do
        local id = args[i]
        names[n + 2], names[n + 3] = RESULT .. id, LOCK .. id
        words[n + 1], words[n + 2] = JOB .. id, args[i + 1]
        n = n + 2
        are_different, is_known[id] = are_different and not is_known[id], true
      end
      are_free = call('EXISTS', unpack(names)) == 0
    end

    -- When they are due, and for how long they are kept.
    local score, score_text, ttl_text = now, now_text, args[2]
    if when ~= '' or expiry ~= '' or not are_free then
      local sign = string.sub(when, 1, 1)
      if sign == '+' or sign == '-' then
        score = now + tonumber(when)
      elseif when ~= '' then
        score = tonumber(when)
      end
      local wait_ms = math.max(score - now, 0)
      local ttl = math.max(1, tonumber(expiry) or wait_ms + args[2])
      if not are_free and call('MGET', PAUSED_HERE)[1] then
        ttl = math.max(ttl, wait_ms + PAUSED_TTL_MS)
      end
      score_text, ttl_text = string.format('%d', score), string.format('%d', ttl)
    end

    local are_added = false
    if many > 1 and are_free and are_different then
      --!include together
      are_added = set_together(words, n, true, ttl_text, now) == 1
    end
    if are_added then
      count_jobs = count_jobs + many
      for i = first, at - 1, 2 do
        added[count_added + 1], added[count_added + 2] = score_text, args[i]
        count_added = count_added + 2
      end
    elseif are_free then -- refused by the server, or there is a job
      for i = first, at - 1, 2 do
        count_jobs = count_jobs + 1
        if not call('SET', JOB .. args[i], args[i + 1], 'NX', 'PX', ttl_text) then
          is_refused[count_jobs] = true
        else
          added[count_added + 1], added[count_added + 2] = score_text, args[i]
          count_added = count_added + 2
        end
      end
    else
      --!include basics
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

      if tick ~= '' and not given then
        given = {}
        for i = 2, count_added, 2 do
          given[added[i]] = true
        end
      end
      for i = first, at - 1, 2 do
        local id = args[i]
        if tick ~= '' then
          id = new_tick(id, tick)
        elseif not is_free(id) then
          id = nil
        end
        count_jobs = count_jobs + 1
        if not (id and call('SET', JOB .. id, args[i + 1], 'NX', 'PX', ttl_text)) then
          is_refused[count_jobs] = true
        else
          added[count_added + 1], added[count_added + 2] = score_text, id
          count_added = count_added + 2
          if given then
            given[id] = true
          end
        end
      end
    end
  end
  for i = 1, count_added, 1000 do
    call('ZADD', queue, unpack(added, i, math.min(i + 999, count_added)))
  end
end

if count_added > 0 then
  -- A request to abort was meant for an earlier job with this id.
  if count_added == 2 then
    try('ZREM', aborts, added[2])
  else
    local asked = try('ZCARD', aborts)
    if type(asked) == 'number' and asked > 0 then
      for i = 2, count_added, 2 do
        call('ZREM', aborts, added[i])
      end
    end
  end
  if call('EXISTS', workers) == 1 and try('LLEN', wake) ~= 1 then
    --!include basics
    --!include wake
    wake_one(wake)
  end
end
if 2 * count_jobs == count_added then
  return count_jobs
end
local answers = {}
for i = 1, count_jobs do
  answers[i] = is_refused[i] and 0 or 1
end
return answers
