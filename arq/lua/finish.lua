-- Write how jobs of a worker ended. A job that was given to somebody else meanwhile is left alone.
--
-- KEYS  1 queue (zset)   2 its wake-up tokens (list)   3 claims of this worker, a batch each (hash)   4 requests to abort (zset)
-- ARGV  1 prefix   2 worker id   3 s until the start counters expire   4 epoch of this call
--       5 '' | 'repeated': some of these endings were sent before, and may be written already | 'leaving': the worker stops. In both
--         cases nothing counts any more that it sent with an earlier epoch: a claim that is on its way or waits for a token must
--         not take what is given back here, and an ending that was held up not end a later claim
--       6 cohort of a worker that stops: workers of it leave to others what this one gives back; or ''
--       then, in any order but for the last:
--         'done', stamp of the claim, ms to keep results ('' for ever), ms to keep locks and jobs ('' not at all, 'once' neither, and
--           this was the only start: nothing is counted of others), how many: id, result ('' none), id, ...
--         'again', stamp, id, when: '' at its old score | 'MS EXTRA': in MS ms from now, and payload and counters live for EXTRA ms more,
--           number of this try, '1': a shutdown interrupted it | 'snoozed': the start does not count, as if it had not been claimed,
--           why the try has failed or ''
--         'died', stamp, ms to keep results, ms to keep locks and jobs as for 'done', id, result, what the dead set gets, number of
--           tries, how many jobs it keeps, for how many ms
--         'unbegun', stamp, id, when, '' | cohort that leaves it to others because it can't read it, for so many ms, '': it was claimed,
--           and never ran: this start does not count for anybody
--         'over', stamp: with what is said before, all jobs of this claim are over; at the end
-- Result  which of the jobs were not ours any more: 1 for the first one, ...; then, below 0, how many jobs had to leave the dead set
--         {'late', E} if the worker has sent this once more, with a later epoch, and nothing is written
--!include basics
--!include msetex
local queue, batches, aborts, worker = KEYS[1], KEYS[3], KEYS[4], ARGV[2]
local FIRST = 7
-- Words that stand before the values of results, and those that other endings consist of.
local DONE_HEAD, OTHER, DIED = 5, 7, 10
-- So many keys at a time: Lua can unpack some 8000 values at most.
local PIECE = 1000

-- The locks of all of them, in their order; before them the worker's epoch.
local locks, n, at = {EPOCH .. worker}, 1, FIRST
while at <= #ARGV do
  local kind = ARGV[at]
  if kind == 'done' then
    local stop = at + DONE_HEAD + 2 * ARGV[at + 4]
    for i = at + DONE_HEAD, stop - 1, 2 do
      n = n + 1
      locks[n] = LOCK .. ARGV[i]
    end
    at = stop
  elseif kind == 'over' then
    at = at + 2
  elseif kind == 'died' then
    n = n + 1
    locks[n] = LOCK .. ARGV[at + 4]
    at = at + DIED
  else
    n = n + 1
    locks[n] = LOCK .. ARGV[at + 2]
    at = at + OTHER
  end
end
local owners = redis.call('MGET', unpack(locks, 1, math.min(PIECE, n)))
for first = PIECE + 1, n, PIECE do
  for _, owner in ipairs(redis.call('MGET', unpack(locks, first, math.min(first + PIECE - 1, n)))) do
    owners[#owners + 1] = owner
  end
end

local epoch = number(owners[1]) or 0
if epoch > tonumber(ARGV[4]) then
  return {'late', epoch}
end

local delete, finished, lost, count_delete, count_finished = {}, {}, {}, 0, 0

local function add_to_delete(key)
  count_delete = count_delete + 1
  delete[count_delete] = key
end

-- What is rarely needed: {may_be_ours, done_rarely, give_back, bury}.
local function make_rarely_needed()
  --!include rest
  --!include batches
  --!include wake
  --!include epoch
  --!include give_back
  --!include lifetime
  --!include dead
  if ARGV[5] ~= '' then
    refuse_claims_before(worker, ARGV[4])
  end
  local retry_ttl_s, _, claims = ARGV[3], claims_of(worker)

  -- Whether a job is ours of which the lock does not tell: it has lapsed, or this is a repeat; then the job may have been ended by the
  -- first one, and be claimed anew.
  local function may_be_ours(id, owner, stamp)
    local claim = claims[id]
    return claim and claim[STAMP] == stamp and is_held_by(worker, owner, claim)
  end

  -- The counters of a job that was started more than once, or about which more is known, and those of one that stays for a while.
  local function done_rarely(id, lock, hold_ms, is_dead)
    add_to_delete(RETRY .. id)
    add_to_delete(INTERRUPTED .. id)
    add_to_delete(CRASHES .. id)
    if not is_dead then
      add_to_delete(ERRORS .. id)
    end
    if hold_ms ~= '' then
      redis.call('PEXPIRE', lock, hold_ms)
      redis.call('PEXPIRE', JOB .. id, hold_ms)
    end
  end

  -- Returns for how many ms payload and counters must live; nil: as they do.
  local function put_back(id, lock, when)
    local score, life_ms = claims[id] and claims[id][SCORE], nil
    if when ~= '' then
      local ms, extra_ms = string.match(when, '^(%S+) (%S+)$')
      score, life_ms = whole(now_ms() + ms), math.max(tonumber(ms), 0) + extra_ms
    end
    if score then
      move_in_queue(queue, score, id)
    end
    add_to_delete(lock)
    wake_one(KEYS[2]) -- whoever it wakes runs the job, or learns when it is due
    return life_ms
  end

  local function again(id, try, how, error)
    if how == 'snoozed' then
      uncount(id)
    elseif tonumber(try) > (number(text_at(RETRY .. id)) or 0) then
      write('SET', RETRY .. id, try, 'EX', retry_ttl_s)
    end
    if how == '1' then
      forgive(id, retry_ttl_s, ARGV[6])
    else
      add_to_delete(CRASHES .. id) -- it has ended by itself: no suspect any more
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

  return {may_be_ours, done_rarely, give_back, bury}
end

local MAY_BE_OURS, DONE_RARELY, GIVE_BACK, BURY = 1, 2, 3, 4
local rarely_needed = ARGV[5] ~= '' and make_rarely_needed()

--!include rarely

local function still_ours(id, owner, stamp)
  if owner and ARGV[5] ~= 'repeated' then
    return owner == worker
  end
  return rarely(MAY_BE_OURS, id, owner, stamp)
end

-- What the results are written with: the server may only refuse the first one (include/basics.lua).
local put = write
-- Results that are written together: key, text, key, ...
local together, count_together = {}, 0

local function write_together(keep_ms)
  if count_together == 0 then
    return
  end
  together[count_together + 1] = 'PX'
  together[count_together + 2] = keep_ms
  if not msetex(write_though_full, count_together / 2, together) then
    for i = 1, count_together, 2 do
      put('SET', together[i], together[i + 1], 'PX', keep_ms)
      put = redis.call
    end
  end
  together, count_together = {}, 0
end

local function done(id, lock, result, keep_ms, hold_ms, is_dead)
  if result ~= '' and has_msetex and keep_ms ~= '' then
    together[count_together + 1] = RESULT .. id
    together[count_together + 2] = result
    count_together = count_together + 2
  elseif result ~= '' then
    if keep_ms == '' then
      put('SET', RESULT .. id, result)
    else
      put('SET', RESULT .. id, result, 'PX', keep_ms)
    end
    put = redis.call
  end
  if hold_ms ~= 'once' then
    rarely(DONE_RARELY, id, lock, hold_ms, is_dead)
  end
  if hold_ms == 'once' or hold_ms == '' then
    delete[count_delete + 1] = lock
    delete[count_delete + 2] = JOB .. id
    count_delete = count_delete + 2
  end
  count_finished = count_finished + 1
  finished[count_finished] = id
end

local evicted = 0
n, at = 1, FIRST
while at <= #ARGV do
  local kind, stamp = ARGV[at], ARGV[at + 1]
  if kind == 'done' then
    local keep_ms, hold_ms, stop = ARGV[at + 2], ARGV[at + 3], at + DONE_HEAD + 2 * ARGV[at + 4]
    for i = at + DONE_HEAD, stop - 1, 2 do
      n = n + 1
      if still_ours(ARGV[i], owners[n], stamp) then
        local lapsed_once = not owners[n] and hold_ms == 'once' -- then its start was counted
        done(ARGV[i], locks[n], ARGV[i + 1], keep_ms, lapsed_once and '' or hold_ms)
      else
        lost[#lost + 1] = n - 1
      end
    end
    write_together(keep_ms)
    at = stop
  elseif kind == 'over' then
    at = at + 2
  elseif kind == 'died' then
    n = n + 1
    local keep_ms, hold_ms, id = ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
    if still_ours(id, owners[n], stamp) then
      evicted = evicted + rarely(BURY, queue, id, ARGV[at + 6], ARGV[at + 7], ARGV[at + 8], ARGV[at + 9])
      local lapsed_once = not owners[n] and hold_ms == 'once'
      done(id, locks[n], ARGV[at + 5], keep_ms, lapsed_once and '' or hold_ms, true)
      write_together(keep_ms)
    else
      lost[#lost + 1] = n - 1
    end
    at = at + DIED
  else
    n = n + 1
    if still_ours(ARGV[at + 2], owners[n], stamp) then
      rarely(GIVE_BACK, kind, ARGV[at + 2], locks[n], ARGV[at + 3], ARGV[at + 4], ARGV[at + 5], ARGV[at + 6])
    else
      lost[#lost + 1] = n - 1
    end
    at = at + OTHER
  end
end

for i = 1, count_delete, PIECE do
  redis.call('DEL', unpack(delete, i, math.min(i + PIECE - 1, count_delete)))
end
if count_finished > 0 then
  count('ZREM', queue, unpack(finished))
  if is_zset(aborts) then
    count('ZREM', aborts, unpack(finished))
  end
end
-- The claims that are over are said last.
local over = {}
while at > FIRST and ARGV[at - 2] == 'over' do
  over[#over + 1] = ARGV[at - 1]
  at = at - 2
end
if #over > 0 then
  count('HDEL', batches, unpack(over))
end
if evicted > 0 then
  lost[#lost + 1] = -evicted
end
return lost
