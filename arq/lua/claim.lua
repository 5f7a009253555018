-- Take due jobs for a worker: lock them, note that it has them, and move their score to the time at which the lock lapses, so that
-- nobody looks at them again before. The first start of a job is counted by that note alone.
--
-- KEYS  1 queue (zset)   2 its wake-up tokens (list)   3 claims of this worker, a batch each (hash)
--       4 workers that look at this queue (zset)   5 workers that are presumed alive (zset)   6 when to look whether claims of a
--       worker have lapsed (zset)
-- ARGV  1 prefix   2 worker id   3 most jobs to take   4 ms until the locks lapse   5 score to begin at: '-inf', or what the last
--       claim said
--       6 any of these letters: 'a' look at the requests to abort | 'f' leave a fair share to the other workers | 'w' it waited behind
--         BLPOP for a token and counts only if this worker holds nothing
--       7 epoch of this claim   8 cohorts of this worker, ' NAME NAME ' or '': what one of them has given back is left to others for a
--       while   9 bytes of payloads after which no more jobs are taken
--       10 what is rarely needed, with blanks between: s until the start counters expire, and about suspects FEW UNCOUNTED
--       WITHOUT_ROOM, see include/quarantine.lua
--       11.. ids: take exactly these instead
-- Result  {now in ms, ms until the next job is due (0: more are due now, -1: none), score to begin at next time ('' from the
--         start), 1 if a fair share was left to others, stamp of this claim, the note of it, see include/batches.lua, false, payload of
--         each of its jobs, ...}. A payload that has expired is false. Instead of the first false, if there is something to be said:
--         {{{n, number of this start, how many starts were interrupted, 1 if somebody asked to abort it, see include/crashes.lua}, ...}
--         of those jobs that were started before or are to be aborted; id of a suspect for which this worker is to make room, or '';
--         what sweep.lua returns, if dead workers were found}
--         {'unknown', 0} if this worker is not presumed alive: whoever released its jobs would not know of new ones
--         {'busy', 0} if it may only have jobs when it holds none, and holds some
--         {'late', E} if the worker has given this claim up: only those of epoch E and later count (reclaim.lua)
local call, try, args, prefix, worker = redis.call, redis.pcall, ARGV, ARGV[1], ARGV[2]
local queue, wake, batches, workers, lapses = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[6]
local flags, cohorts, EXACTLY = args[6], args[8], 11
local is_fair, looks_at_aborts, has_waited = true, false, false
if flags ~= 'f' then -- the usual
  is_fair, looks_at_aborts = string.find(flags, 'f', 1, true), string.find(flags, 'a', 1, true)
  has_waited = string.find(flags, 'w', 1, true)
end

local told, why, since = nil, nil, 0
if type(try('ZRANK', KEYS[5], worker)) ~= 'number' then -- the rank is cheaper to say than the score
  why = 'unknown'
else
  -- its epoch, and whether the queue is paused: neither needs a command of its own
  told = call('MGET', prefix .. 'epoch:' .. worker, prefix .. 'paused:' .. string.sub(queue, #prefix - 3))
  if told[1] then
    --!include basics
    since = number(told[1]) or 0
  end
  if since > 0 and since > tonumber(args[7]) then
    why = 'late'
  elseif has_waited and call('EXISTS', batches) == 1 then
    why = 'busy'
  end
end
if why then
  -- The token that went before may not be lost: somebody must see what it was left for.
  --!include basics
  --!include wake
  if has_waited and count('ZCARD', workers) > 0 and count('ZCARD', queue) > 0 then
    wake_one(wake)
  end
  return {why, why == 'late' and since or 0}
end

local limit, lock_ms, begin_at, is_exact = args[3] + 0, args[4], args[5], #args >= EXACTLY
if told[2] then -- the queue is paused: nothing is due that could be taken
  begin_at, is_exact, EXACTLY = '+inf', false, math.huge
end
local most_bytes, bytes = args[9] + 0, 0
-- Texts instead of numbers, which Redis takes 1 us each to turn into text. (%d is cheaper than %.0f or no format, `+ 0` than tonumber.)
local t = call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local stamp, now_text = string.format('%d', t[1] * 1000000 + t[2]), string.format('%d', now)
local lapse = string.format('%d', now + lock_ms)
local LOCK, JOB, RETRY = prefix .. 'in-progress:', prefix .. 'job:', prefix .. 'retry:'

-- How many jobs were taken. Of them all: id and score before, or if all had the same score their ids, and the score; new score and id, for
-- the queue. And what there is to say of those that are not run for the first time, see above.
local taken, ours, same_score, scores, special = 0, nil, nil, {}, nil
-- See above. (What is short for Redis to send is one flat list.)
local HEAD = 7
local answer = {now, -1, '', 0, stamp, '', false}
-- What sweep.lua would return of dead workers whose jobs were given back here; nil: it was not looked for any.
local swept
-- ms until it is worth looking again for a suspect that was left, nil: none was; the one for which this worker is to make room.
local suspect_ms, awaited
-- ms until the first job may be taken that is due and was left to others, nil: none was left; whether one of them was left by workers
-- that go: those who stay must be told of it.
local left_ms, left_by_outgoing
-- How many workers look at this queue, if it was asked; whether more is due; how many were held by others, and the last score seen;
-- whether a fair share was left to others.
local alive, more, held, last, shared = nil, false, 0, nil, 0
-- Other producers of arq let a deferred job become due at this time when they ask to abort it: it must not be run early.
local DUE_FOR_ABORT = '1'
-- Each worker's claims are looked at so often, by whoever claims next: no lock of a worker holds for a shorter time.
local LOOK_MS = 5000
-- What the names begin with of workers that have met something in a job which they can't read. Jobs that this worker can't read
-- may be many, all of them at the head of the queue.
local UNREAD, IS_UNREAD = 'unread:', ' unread:'
-- Payloads that are read at a time: large ones may be too many in the end.
local FEW_PAYLOADS, MANY_PAYLOADS, SMALL_BYTES = 10, 16, 65536
-- And where those before were tiny.
local MOST_PAYLOADS, TINY_BYTES = 40, 2048
local LARGEST_PAGE, MANY = 1000, 20
local aborts = prefix .. 'abort'

-- Nearly always there is nothing special about any job that is due: nobody holds it, none was started before or is to be aborted, and no
-- claims have lapsed. Then all is done at once. Nothing is written before that is known.
local is_plain = not is_exact and limit < LARGEST_PAGE and try('ZCOUNT', lapses, '-inf', now_text) == 0
  and not (looks_at_aborts and try('ZCARD', aborts) ~= 0) and (cohorts == '' or not string.find(cohorts, IS_UNREAD, 1, true))

if is_plain then
  local most = limit
  --!include fair_share
  -- One more than wanted: is there more? Before 7.2, Redis takes 1.5 us to say a score. Of many jobs it is often the same, that of those which
  -- were enqueued together.
  local ids, size, is_more, lowest, found = nil, 0, false, nil, nil
  if most >= MANY and begin_at == '-inf' and not redis.VALKEY_VERSION_NUM and (redis.REDIS_VERSION_NUM or 0) < 459264 then
    lowest = call('ZRANGE', queue, '0', '0', 'WITHSCORES')[2]
    if lowest and lowest + 0 <= now and call('ZCOUNT', queue, lowest, lowest) >= most then
      ids, same_score = call('ZRANGEBYSCORE', queue, lowest, lowest, 'LIMIT', '0', most + 1), lowest
      size = #ids
      is_more = size > most or call('ZCOUNT', queue, '(' .. lowest, now_text) > 0
    end
  end
  if not same_score then
    ours = call('ZRANGEBYSCORE', queue, begin_at, now_text, 'WITHSCORES', 'LIMIT', '0', string.format('%d', most + 1))
    size, lowest = #ours / 2, ours[2]
    is_more, ids = size > most, {}
    for i = 1, size do
      ids[i] = ours[2 * i - 1]
    end
  end
  size = math.min(size, most)
  is_plain = size == 0 or lowest + 0 > 1 -- a score to be looked at closely would be lower than all others
  if is_plain and size == 1 then
    local id = ids[1]
    found = call('MGET', JOB .. id, RETRY .. id)
    local is_locked = not found[2] and try('SET', LOCK .. id, worker, 'NX', 'PX', lock_ms)
    is_plain = is_locked and is_locked.ok ~= nil
    scores[1], scores[2], found[2] = lapse, id, nil
  elseif is_plain and size > 1 then
    local starts, locks = {}, {}
    for i = 1, size do
      local id = ids[i]
      starts[i] = RETRY .. id
      locks[2 * i - 1], locks[2 * i] = LOCK .. id, worker
      scores[2 * i - 1], scores[2 * i] = lapse, id
    end
    if size <= FEW_PAYLOADS then -- one command for starts and payloads
      for i = 1, size do
        starts[size + i] = JOB .. ids[i]
      end
      local seen = call('MGET', unpack(starts))
      found = {}
      for i = 1, size do
        is_plain, found[i] = is_plain and not seen[i], seen[size + i]
      end
    else
      is_plain = call('EXISTS', unpack(starts)) == 0
    end
    if is_plain then
      --!include together
      is_plain = set_together(locks, 2 * size, true, lock_ms, now) == 1
    end
  end
  if is_plain then
    more = is_more
    local chunk, first, locked = FEW_PAYLOADS, 1, size
    while first <= size do
      if not found then
        local names = {}
        for i = first, math.min(first + chunk - 1, size) do
          names[i - first + 1] = JOB .. ids[i]
        end
        found = call('MGET', unpack(names))
      end
      for i = 1, #found do
        local payload = found[i]
        if bytes >= most_bytes then
          size, more = taken, true
          break
        end
        taken = taken + 1
        answer[HEAD + taken] = payload
        if payload then
          bytes = bytes + #payload
        end
      end
      first, found = first + chunk, nil
      chunk = bytes < TINY_BYTES * taken and MOST_PAYLOADS or bytes < SMALL_BYTES * taken and MANY_PAYLOADS or 1
    end
    if bytes >= most_bytes then
      shared = 0 -- what is left was left for its size, and may be taken at once
    end
    for i = taken + 1, locked do
      call('DEL', LOCK .. ids[i])
    end
    if same_score then
      ours = ids
    end
  else
    same_score, scores, alive, shared = nil, {}, nil, 0
  end
end

if not is_plain then
  --!include basics
  --!include wake
  --!include together
  local retry_ttl_s, few, uncounted, without_room = string.match(args[10], '^(%S+) (%S+) (%S+) (%S+)$')
  local MEMBERS = prefix .. 'members' -- those of the workers that are presumed alive which note a batch at a time
  -- Jobs that may be taken here in all.
  local most_here = math.huge
  local aborts_asked = looks_at_aborts and is_zset(aborts) and aborts
  local has_unread = string.find(cohorts, IS_UNREAD, 1, true)
  ours, special, swept = {}, {}, {}

  -- What the locks are written with: the server may only refuse the first one (include/basics.lua).
  local put = write

  local function lock(id)
    local is_free = put('SET', LOCK .. id, worker, 'NX', 'PX', lock_ms)
    put = redis.call
    if is_free then
      return true
    end
    if redis.call('TYPE', LOCK .. id).ok == 'string' then
      return false
    end
    redis.call('SET', LOCK .. id, worker, 'PX', lock_ms) -- no lock, but something else
    return true
  end

  -- Lock entries of a page at once, if none of them needs a closer look, and all are free. Returns whether that is done.
  -- `block`: their numbers. `found`: their counters of starts, and more.
  local function lock_all(due, block, found)
    local words, n = {}, 0
    for i, at in ipairs(block) do
      if found[i] or due[2 * at] == DUE_FOR_ABORT then
        return false
      end
      words[n + 1] = LOCK .. due[2 * at - 1]
      words[n + 2] = worker
      n = n + 2
    end
    return set_together(words, n, true, lock_ms, now) == 1
  end

  local function unlock_all(due, block, first)
    for i = first, #block do
      redis.call('DEL', LOCK .. due[2 * block[i] - 1])
    end
  end

  local function take(id, score, payload)
    taken = taken + 1
    answer[HEAD + taken] = payload
    ours[2 * taken - 1], ours[2 * taken] = id, score
    scores[2 * taken - 1], scores[2 * taken] = lapse, id
    if payload then
      bytes = bytes + #payload
    end
  end

  -- What is rarely needed: {is_left_to_others, settle_lapsed, take_special}.
  local function make_rarely_needed()
    --!include rest
    --!include batches
    --!include give_back
    --!include suspects
    --!include crashes
    --!include release
    --!include overdue
    --!include quarantine

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

    -- Who has not been heard of in time, once it was looked.
    local missing

    local function is_missing(holder)
      missing = missing or overdue(KEYS[5], MEMBERS)
      for _, dead in ipairs(missing) do
        if dead == holder then
          return holder ~= worker
        end
      end
      return false
    end

    -- The claims of a worker that have lapsed, and when the next one does.
    local function lapsed_of(holder)
      local found, next_ms, notes = {}, math.huge, all_of(BATCHES .. holder)
      for i = 1, #notes, 2 do
        local ms = number(string.match(notes[i + 1], '^%%?(%d+)'))
        if ms and ms > now then
          next_ms = math.min(next_ms, ms)
        elseif ms then
          for _, claim in ipairs(claims_in(notes[i + 1], notes[i])) do
            found[#found + 1] = claim
          end
        end
      end
      return found, next_ms
    end

    local JUST_MS = 1000

    -- If locks have lapsed, the jobs will be taken as if they had not been started: nothing has counted that so far. If the worker is
    -- missing, nobody has seen its death, and it must be settled whose fault that was. A missing worker that still extends its locks
    -- is left alone: only its supervisor has fallen silent.
    local function settle(holder)
      local claims, next_ms = lapsed_of(holder)
      if #claims > 0 and is_missing(holder) then
        sweep({KEYS[5], MEMBERS}, holder, retry_ttl_s, swept)
        return
      end
      for n, owner in ipairs(owners_of(claims)) do
        if not owner and is_held_by(holder, owner, claims[n]) then
          count_first(claims[n][ID], retry_ttl_s)
        elseif owner == holder and tonumber(claims[n][LAPSE]) > now - JUST_MS then
          next_ms = now -- a lock is there until its last ms is over: the next claim looks again
        end
      end
      if score_of(holder, MEMBERS) then
        write('ZADD', lapses, whole(math.min(next_ms, now + LOOK_MS)), holder)
      else
        redis.call('ZREM', lapses, holder)
      end
    end

    -- A claim looks at so many of them.
    local MOST_WORKERS = 10

    local function settle_lapsed()
      for _, holder in ipairs(redis.call('ZRANGEBYSCORE', lapses, '-inf', now_text, 'LIMIT', 0, MOST_WORKERS)) do
        settle(holder)
      end
    end

    -- The same for a job that was counted by a worker of an earlier version.
    local function settle_old(id)
      local before = #swept
      missing = missing or overdue(KEYS[5], MEMBERS)
      for _, dead in ipairs(missing) do
        if dead ~= worker and count('HEXISTS', CLAIMS .. dead, id) == 1 then
          sweep({KEYS[5], MEMBERS}, dead, retry_ttl_s, swept)
        end
      end
      return #swept > before
    end

    -- A job that was started before, or that somebody may have asked to abort. `retry`: its counter of starts, or false. Returns whether
    -- it was taken, and whether the queue is not any more as it was read.
    local function take_special(id, score, payload, retry)
      local has_changed = retry and settle_old(id)
      if has_changed then
        score, retry = redis.call('ZSCORE', queue, id), text_at(RETRY .. id)
      end
      if retry and cohorts ~= '' and is_left_to_others(id) or not (score and lock(id)) then
        return false, has_changed
      end
      local counts = retry and redis.call('MGET', INTERRUPTED .. id, CRASHES .. id) or {}
      local starts = number(retry) or 0
      local crashes = starts > 0 and counts[2]
      if crashes and not is_admitted(id, crashes) then
        redis.call('DEL', LOCK .. id)
        return false, has_changed
      end
      if starts > 0 then
        redis.call('SET', RETRY .. id, whole(starts + 1), 'EX', retry_ttl_s)
      end
      local asked_in = score == DUE_FOR_ABORT and aborts or aborts_asked
      local is_aborted = asked_in and score_of(id, asked_in)
      take(id, score, payload)
      if retry or is_aborted then
        special[#special + 1] = {taken, starts + 1, number(counts[1]) or 0, is_aborted and 1 or 0, crashes}
      end
      return true, has_changed
    end

    return {is_left_to_others, settle_lapsed, take_special}
  end

  local IS_LEFT_TO_OTHERS, SETTLE_LAPSED, TAKE_SPECIAL = 1, 2, 3
  local rarely_needed

  --!include rarely

  -- Such keys of a page of ids and scores.
  local function values_at(kind, due)
    local names = {}
    for i = 1, #due, 2 do
      names[(i + 1) / 2] = kind .. due[i]
    end
    return redis.call('MGET', unpack(names))
  end

  -- Whether jobs that others hold lie at the head of the queue: then their locks are looked at together.
  local is_crowded = false

  -- Take what is free of a page of ids and scores; returns whether it was looked through, how many others hold, and the last score seen.
  local function take_page(due, most)
    local size, held, n, chunk = #due / 2, 0, 1, FEW_PAYLOADS
    if size == 0 then
      return true, 0, nil
    end
    local locks = is_crowded and values_at(LOCK, due)
    local left_by = has_unread and values_at(prefix .. 'left:', due)
    while n <= size do
      -- The next entries that are free, as far as that is known: their counters of starts, and payloads.
      local block, names, k = {}, {}, 0
      while n <= size and k < chunk and k < most - taken do
        if locks and locks[n] then
          held = held + 1
        else
          k = k + 1
          block[k] = n
        end
        n = n + 1
      end
      if k == 0 then
        return n > size, held, due[2 * n - 2]
      end
      for i = 1, k do
        local id = due[2 * block[i] - 1]
        names[i], names[k + i] = RETRY .. id, JOB .. id
      end
      local found = redis.call('MGET', unpack(names))
      local is_unknown = k > 1 and not (locks or left_by or aborts_asked)
      local are_locked = is_unknown and lock_all(due, block, found)
      for i = 1, k do
        local at = block[i]
        if taken >= most_here or bytes >= most_bytes then
          if are_locked then
            unlock_all(due, block, i)
          end
          return false, held, due[2 * at - 2]
        end
        local id, score, retry = due[2 * at - 1], due[2 * at], found[i]
        local is_ours, has_changed = false, false
        if (locks and locks[at]) or (left_by and left_by[at] and rarely(IS_LEFT_TO_OTHERS, id)) then
          is_ours = false
        elseif retry or aborts_asked or score == DUE_FOR_ABORT then
          is_ours, has_changed = rarely(TAKE_SPECIAL, id, score, found[k + i], retry)
        elseif are_locked or lock(id) then
          take(id, score, found[k + i])
          is_ours = true
        end
        if not is_ours then
          held = held + 1
          if not locks then
            is_crowded, locks = true, values_at(LOCK, due)
          end
        end
        if has_changed then
          return false, held, score
        end
      end
      chunk = bytes < SMALL_BYTES * taken and MANY_PAYLOADS or 1
    end
    return true, held, due[2 * size]
  end

  if count('ZCOUNT', lapses, '-inf', now_text) > 0 then
    rarely(SETTLE_LAPSED)
  end

  if is_exact then
    for i = EXACTLY, #args do
      more = bytes >= most_bytes
      local score = not more and redis.call('ZSCORE', queue, args[i])
      if score and tonumber(score) <= now then
        take_page({args[i], score}, math.huge)
      end
    end
  else
    local most, offset, is_through = limit, 0, false
    --!include fair_share
    while not (is_through or more) do
      -- One more than wanted: is there more? And larger pages the more is held, to be through with it soon.
      local size = math.min(LARGEST_PAGE, most - taken + 1 + 3 * held)
      local due = redis.call('ZRANGEBYSCORE', queue, begin_at, now_text, 'WITHSCORES', 'LIMIT', offset, size)
      local is_seen, held_here, last_here = take_page(due, most)
      held, last = held + held_here, last_here or last
      more, is_through, offset = not is_seen, #due < 2 * size, offset + size
    end
    if bytes >= most_bytes then
      shared = 0 -- what is left was left for its size, and may be taken at once
    end
  end
end

if taken > 0 then
  for i = 1, 2 * taken, 1000 do
    call('ZADD', queue, 'XX', unpack(scores, i, math.min(i + 999, 2 * taken)))
  end
  --!include batch_note
  answer[6] = note
  if type(try('HSET', batches, stamp, note)) ~= 'number' then
    --!include basics
    write('HSET', batches, stamp, note) -- it is no hash
  end
  -- They are kept until all locks have lapsed. (PEXPIREAT is cheaper; not all users may do that.)
  if type(try('PEXPIREAT', batches, string.format('%d', lapse + 60000))) ~= 'number' then
    call('PEXPIRE', batches, lock_ms + 60000)
  end
  if lock_ms + 0 < LOOK_MS then
    --!include basics
    write('ZADD', lapses, 'LT', lapse, worker)
  end
end

-- Scores may be anything, up to infinity.
local wait_ms, LONGEST_WAIT_MS = -1, 1e12
if more then
  wait_ms = 0
else
  if begin_at == '-inf' and not (is_exact or left_ms or suspect_ms) then
    call('DEL', wake) -- everything due is taken: tokens would wake others for nothing
  end
  local next_due = call('ZRANGEBYSCORE', queue, '(' .. now_text, '+inf', 'WITHSCORES', 'LIMIT', '0', '1')
  if next_due[2] then
    wait_ms = math.min(math.max(1, next_due[2] - now), LONGEST_WAIT_MS)
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
if more or left_by_outgoing or awaited or (wait_ms > 0 and taken == limit and not has_waited) then
  alive = alive or try('ZCARD', workers)
  if type(alive) == 'number' and alive > 1 and try('LLEN', wake) ~= 1 then
    --!include basics
    --!include wake
    wake_one(wake)
  end
end
-- So many entries that others hold at the head of the queue are worth remembering where the rest begins.
local MANY_HELD = 16
answer[2], answer[3] = wait_ms, held >= MANY_HELD and #swept == 0 and last or ''
answer[4] = more and shared or 0
if special and (#special > 0 or awaited or #swept > 0) then
  answer[HEAD] = {special, awaited or '', swept}
end
return answer
