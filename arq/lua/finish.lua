-- Write how jobs of a worker ended. A job that was given to somebody else meanwhile is left alone.
--
-- KEYS  1 queue (zset)   2 claims of this worker, a batch each (hash)
-- ARGV  1 prefix   2 worker id   3 epoch of this call   4 s until the start counters expire
--       5 '' | 'repeated COHORT': some of these endings were sent before, and may be written already | 'leaving COHORT': the worker stops.
--         In both cases nothing counts any more that it sent with an earlier epoch: a claim that is on its way or waits for a token
--         must not take what is given back here, and an ending that was held up not end a later claim. COHORT of a worker that stops:
--         workers of it leave to others what this one gives back; or ''
--       then, in any order but for the last:
--         how many have ended with results or without (below 0: the same, and with what is said up to here all jobs of this claim are
--           over), stamp of the claim, ms to keep results ('' for ever), ms to keep locks and jobs ('' not at all, 'once' neither, and
--           this was the only start: nothing is counted of others), then of each: id, result ('' none)
--         'again', stamp, id, when: '' at its old score | 'MS EXTRA': in MS ms from now, and payload and counters live for EXTRA ms more,
--           number of this try, '1': a shutdown interrupted it | 'snoozed': the start does not count, as if it had not been claimed,
--           why the try has failed or ''
--         'died', stamp, ms to keep results, ms to keep locks and jobs as above, id, result, what the dead set gets, number of
--           tries, how many jobs it keeps, for how many ms
--         'unbegun', stamp, id, when, '' | cohort that leaves it to others because it can't read it, for so many ms, '': it was claimed,
--           and never ran: this start does not count for anybody
--         'over', stamp: with what is said before, all jobs of this claim are over; at the end
-- Result  which of the jobs were not ours any more: 1 for the first one, ...; then, below 0, how many jobs had to leave the dead set
--         {'late', E} if the worker has sent this once more, with a later epoch, and nothing is written
local call, try, args, prefix, worker = redis.call, redis.pcall, ARGV, ARGV[1], ARGV[2]
local queue, batches = KEYS[1], KEYS[2]
local LOCK, JOB, RESULT = prefix .. 'in-progress:', prefix .. 'job:', prefix .. 'result:'
-- Words that stand before the values of results, and those that other endings consist of.
local FIRST, HEAD, OTHER, DIED = 6, 4, 7, 10
-- So many keys at a time: Lua can unpack some 8000 values at most.
local PIECE = 1000

-- The worker's epoch, and the locks of all jobs, in their order. If all of them are results of jobs that are still ours: what is to be
-- deleted, who leaves the queue, and results that are written together, of each group: key, text, key, ..., and ms to keep them.
-- This is what nearly all calls are about, and what they cost is this.
local locks, n = {prefix .. 'epoch:' .. worker}, 1
local doomed, count_doomed, finished, count_finished, results, lives = {}, 0, {}, 0, {}, {}
-- The claims that are over.
local over = {}
local is_plain = args[5] == ''

local at, last, words, count_words = FIRST, #args, {}, 0
while at <= last do
  local kind = args[at]
  local many = tonumber(kind)
  if many then
    if many < 0 then
      over[#over + 1], many = args[at + 1], -many
    end
    local keep_ms, hold_ms, first = args[at + 2], args[at + 3], at + HEAD
    is_plain = is_plain and (hold_ms == 'once' or hold_ms == '')
    at = first + 2 * many
    for i = first, at - 1, 2 do
      local id, result = args[i], args[i + 1]
      local lock = LOCK .. id
      n = n + 1
      locks[n] = lock
      doomed[count_doomed + 1], doomed[count_doomed + 2] = lock, JOB .. id
      count_doomed = count_doomed + 2
      finished[n - 1] = id
      if result ~= '' then
        if keep_ms ~= lives[#lives] or count_words == 2 * PIECE then
          words, count_words = {}, 0
          results[#results + 1], lives[#lives + 1] = words, keep_ms
        end
        words[count_words + 1], words[count_words + 2] = RESULT .. id, result
        count_words = count_words + 2
      end
      if hold_ms ~= 'once' then
        doomed[count_doomed + 1], doomed[count_doomed + 2] = prefix .. 'retry:' .. id, prefix .. 'interrupted:' .. id
        doomed[count_doomed + 3], doomed[count_doomed + 4] = prefix .. 'crashes:' .. id, prefix .. 'errors:' .. id
        count_doomed = count_doomed + 4
      end
    end
  elseif kind == 'over' then
    over[#over + 1] = args[at + 1]
    at = at + 2
  else
    n = n + 1
    is_plain = false
    if kind == 'died' then
      locks[n] = LOCK .. args[at + 4]
      at = at + DIED
    else
      locks[n] = LOCK .. args[at + 2]
      at = at + OTHER
    end
  end
end
count_finished = n - 1

local owners = call('MGET', unpack(locks, 1, math.min(PIECE, n)))
for first = PIECE + 1, n, PIECE do
  for _, owner in ipairs(call('MGET', unpack(locks, first, math.min(first + PIECE - 1, n)))) do
    owners[#owners + 1] = owner
  end
end

if owners[1] then
  --!include basics
  local epoch = number(owners[1]) or 0
  if epoch > tonumber(args[3]) then
    return {'late', epoch}
  end
end

if is_plain then
  for i = 2, n do
    if owners[i] ~= worker then
      is_plain = false
    end
  end
end

local lost, evicted = {}, 0

-- All other calls.
if not is_plain then
  --!include basics
  --!include rest
  --!include batches
  --!include wake
  --!include epoch
  --!include give_back
  --!include lifetime
  --!include dead
  doomed, count_doomed, finished, count_finished, results, lives = {}, 0, {}, 0, {}, {}
  local retry_ttl_s, claims = args[4], nil
  local how_sent, cohort = string.match(args[5], '^(%a+) (.*)$')
  if args[5] ~= '' then
    refuse_claims_before(worker, args[3])
  end

  local function claim_of(id)
    if not claims then
      local _, by_id = claims_of(worker)
      claims = by_id
    end
    return claims[id]
  end

  -- Whether a job is still ours. The lock does not tell that if it has lapsed, or if this is a repeat: then the job may have been ended
  -- by the first one, and be claimed anew.
  local function still_ours(id, owner, stamp)
    if owner and how_sent ~= 'repeated' then
      return owner == worker
    end
    local claim = claim_of(id)
    return claim and claim[STAMP] == stamp and is_held_by(worker, owner, claim)
  end

  local function add_to_doomed(key)
    count_doomed = count_doomed + 1
    doomed[count_doomed] = key
  end

  local function done(id, lock, owner, result, keep_ms, hold_ms, is_dead)
    if result ~= '' then
      if keep_ms ~= lives[#lives] or #results[#results] >= 2 * PIECE then
        results[#results + 1], lives[#lives + 1] = {}, keep_ms
      end
      local group = results[#results]
      group[#group + 1] = RESULT .. id
      group[#group + 1] = result
    end
    if hold_ms == 'once' and not owner then
      hold_ms = '' -- a lapsed lock: its start was counted
    end
    if hold_ms ~= 'once' then -- more than one start, or more is known of it, or it stays for a while
      add_to_doomed(RETRY .. id)
      add_to_doomed(INTERRUPTED .. id)
      add_to_doomed(CRASHES .. id)
      if not is_dead then
        add_to_doomed(ERRORS .. id)
      end
    end
    if hold_ms == 'once' or hold_ms == '' then
      add_to_doomed(lock)
      add_to_doomed(JOB .. id)
    else
      redis.call('PEXPIRE', lock, hold_ms)
      redis.call('PEXPIRE', JOB .. id, hold_ms)
    end
    count_finished = count_finished + 1
    finished[count_finished] = id
  end

  -- Returns for how many ms payload and counters must live; nil: as they do.
  local function put_back(id, lock, when)
    local score, life_ms
    if when == '' then
      local claim = claim_of(id)
      score = claim and claim[SCORE]
    else
      local ms, extra_ms = string.match(when, '^(%S+) (%S+)$')
      score, life_ms = whole(now_ms() + ms), math.max(tonumber(ms), 0) + extra_ms
    end
    if score then
      move_in_queue(queue, score, id)
    end
    add_to_doomed(lock)
    wake_one(WAKE .. name_of(queue)) -- whoever it wakes runs the job, or learns when it is due
    return life_ms
  end

  local function again(id, try_number, how, error)
    if how == 'snoozed' then
      uncount(id)
    elseif tonumber(try_number) > (number(text_at(RETRY .. id)) or 0) then
      write('SET', RETRY .. id, try_number, 'EX', retry_ttl_s)
    end
    if how == '1' then
      forgive(id, retry_ttl_s, cohort or '')
    else
      add_to_doomed(CRASHES .. id) -- it has ended by itself: no suspect any more
    end
    if error ~= '' then
      note_error(id, error)
    end
  end

  local function unbegun(id, unread_by, leave_ms)
    uncount(id)
    if unread_by ~= '' then
      leave_unread(id, retry_ttl_s, unread_by, leave_ms)
    end
  end

  local function give_back(kind, id, lock, when, ...)
    local life_ms = put_back(id, lock, when)
    if kind == 'again' then
      again(id, ...)
    else
      unbegun(id, ...)
    end
    if life_ms then
      job_lives_for(id, life_ms)
    end
  end

  n, at = 1, FIRST
  while at <= last do
    local kind, stamp = args[at], args[at + 1]
    local many = tonumber(kind)
    if many then
      local keep_ms, hold_ms, first = args[at + 2], args[at + 3], at + HEAD
      at = first + 2 * math.max(many, -many)
      for i = first, at - 1, 2 do
        n = n + 1
        if still_ours(args[i], owners[n], stamp) then
          done(args[i], locks[n], owners[n], args[i + 1], keep_ms, hold_ms)
        else
          lost[#lost + 1] = n - 1
        end
      end
    elseif kind == 'over' then
      at = at + 2
    elseif kind == 'died' then
      n = n + 1
      local id = args[at + 4]
      if still_ours(id, owners[n], stamp) then
        evicted = evicted + bury(queue, id, args[at + 6], args[at + 7], args[at + 8], args[at + 9])
        done(id, locks[n], owners[n], args[at + 5], args[at + 2], args[at + 3], true)
      else
        lost[#lost + 1] = n - 1
      end
      at = at + DIED
    else
      n = n + 1
      if still_ours(args[at + 2], owners[n], stamp) then
        give_back(kind, args[at + 2], locks[n], args[at + 3], args[at + 4], args[at + 5], args[at + 6])
      else
        lost[#lost + 1] = n - 1
      end
      at = at + OTHER
    end
  end
end

for group = 1, #results do
  local texts, keep_ms = results[group], lives[group]
  local many, are_written = #texts, nil
  if many > 2 then
    --!include together
    are_written = set_together(texts, many, false, keep_ms, nil)
  end
  if not are_written then
    for i = 1, many, 2 do
      local answer
      if keep_ms == '' then
        answer = try('SET', texts[i], texts[i + 1])
      else
        answer = try('SET', texts[i], texts[i + 1], 'PX', keep_ms)
      end
      if answer.err then -- a server over its memory limit
        --!include basics
        if keep_ms == '' then
          write('SET', texts[i], texts[i + 1])
        else
          write('SET', texts[i], texts[i + 1], 'PX', keep_ms)
        end
      end
    end
  end
end

for i = 1, count_doomed, PIECE do
  call('DEL', unpack(doomed, i, math.min(i + PIECE - 1, count_doomed)))
end
-- What is of another type there is none of our business.
if count_finished > 0 then
  local aborts, asked = prefix .. 'abort', 1
  if count_finished > 4 then
    asked = try('ZCARD', aborts)
  end
  for i = 1, count_finished, PIECE do
    local stop = math.min(i + PIECE - 1, count_finished)
    try('ZREM', queue, unpack(finished, i, stop))
    if asked ~= 0 then
      try('ZREM', aborts, unpack(finished, i, stop))
    end
  end
end
if #over > 0 then
  try('HDEL', batches, unpack(over))
end
if evicted > 0 then
  lost[#lost + 1] = -evicted
end
return lost
