-- Write how jobs of a worker ended. A job that was given to somebody else meanwhile is left alone.
--
-- KEYS  1 queue (zset)   2 its wake-up tokens (list)   3 claims of this worker, a batch each (hash)   4 requests to abort (zset)
--       5 when the claims of this queue lapse (zset)
-- ARGV  1 prefix   2 worker id   3 s until the start counters expire   4 epoch of this call
--       5 '' | 'repeated': some of these endings were sent before, and may be written already | 'leaving': the worker stops. In both
--         cases nothing counts any more that it sent with an earlier epoch: a claim that is on its way or waits for a token must
--         not take what is given back here, and an ending that was held up not end a later claim
--       6 cohort of a worker that stops: workers of it leave to others what this one gives back; or ''
--       then, in any order:
--         'done', stamp of the claim, ms to keep results ('' for ever), ms to keep locks and jobs ('' not at all, 'once' neither, and
--           this was the only start: nothing is counted of others), how many: id, result ('' none), id, ...
--         'again', stamp, id, when: '' at its old score | 'MS EXTRA': in MS ms from now, and payload and counters live for EXTRA ms more,
--           number of this try, '1': a shutdown interrupted it | 'snoozed': the start does not count, as if it had not been claimed
--         'unbegun', stamp, id, when, '' | cohort that leaves it to others because it can't read it, for so many ms: it was claimed, and
--           never ran: this start does not count for anybody
--         'over', stamp: with what is said here, all jobs of this claim are over
-- Result  which of the jobs were not ours any more: 1 for the first one, ...
--         {'late', E} if the worker has sent this once more, with a later epoch, and nothing is written
--!include keys
--!include batches
--!include wake
--!include epoch
--!include give_back
--!include lifetime
local queue, wake, batches, aborts, lapses = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local worker, retry_ttl_s, is_repeated, cohort = ARGV[2], ARGV[3], ARGV[5] == 'repeated', ARGV[6]
local FIRST = 7
-- Words that stand before the values of results, and those that other endings consist of.
local DONE_HEAD, OTHER = 5, 6
-- `MGET` of so many keys at a time: Lua can unpack some 8000 values at most.
local PIECE = 1000

-- The locks of all of them, in their order; before them the worker's epoch.
local locks, count_locks, at = {EPOCH .. worker}, 1, FIRST
while at <= #ARGV do
  local kind = ARGV[at]
  if kind == 'done' then
    local stop = at + DONE_HEAD + 2 * ARGV[at + 4]
    for i = at + DONE_HEAD, stop - 1, 2 do
      count_locks = count_locks + 1
      locks[count_locks] = LOCK .. ARGV[i]
    end
    at = stop
  elseif kind == 'over' then
    at = at + 2
  else
    count_locks = count_locks + 1
    locks[count_locks] = LOCK .. ARGV[at + 2]
    at = at + OTHER
  end
end
local owners = redis.call('MGET', unpack(locks, 1, math.min(PIECE, count_locks)))
for first = PIECE + 1, count_locks, PIECE do
  for _, owner in ipairs(redis.call('MGET', unpack(locks, first, math.min(first + PIECE - 1, count_locks)))) do
    owners[#owners + 1] = owner
  end
end

local current = number(owners[1]) or 0
if current > tonumber(ARGV[4]) then
  return {'late', current}
end
if ARGV[5] ~= '' then
  refuse_claims_before(worker, ARGV[4])
end

local claims
local function claim_of(id)
  if not claims then
    local _, by_id = claims_of(worker)
    claims = by_id
  end
  return claims[id]
end

-- The lock tells it, mostly. Not where an ending is repeated: the job may have been ended by the first one, and be claimed anew.
local function still_ours(id, owner, stamp)
  if owner and not is_repeated then
    return owner == worker
  end
  local claim = claim_of(id)
  return claim and claim[STAMP] == stamp and is_held_by(worker, owner, claim)
end

local delete, finished, over, lost = {}, {}, {}, {}
local count_delete, count_finished = 0, 0

local function add_to_delete(key)
  count_delete = count_delete + 1
  delete[count_delete] = key
end

-- The counters of a job that was started more than once, or about which more is known, and those of one that stays for a while.
local function done_rarely(id, lock, hold_ms)
  add_to_delete(RETRY .. id)
  add_to_delete(INTERRUPTED .. id)
  add_to_delete(CRASHES .. id)
  if hold_ms ~= '' then
    redis.call('PEXPIRE', lock, hold_ms)
    redis.call('PEXPIRE', JOB .. id, hold_ms)
  end
end

-- What the results are written with: the server may only refuse the first one (include/keys.lua).
local put = write

local function done(id, lock, result, keep_ms, hold_ms)
  if result ~= '' then
    if keep_ms == '' then
      put('SET', RESULT .. id, result)
    else
      put('SET', RESULT .. id, result, 'PX', keep_ms)
    end
    put = redis.call
  end
  if hold_ms ~= 'once' then
    done_rarely(id, lock, hold_ms)
  end
  if hold_ms == 'once' or hold_ms == '' then
    delete[count_delete + 1], delete[count_delete + 2] = lock, JOB .. id
    count_delete = count_delete + 2
  end
  count_finished = count_finished + 1
  finished[count_finished] = id
end

-- Returns for how many ms payload and counters must live; nil: as they do.
local function put_back(id, lock, when)
  local claim = when == '' and claim_of(id)
  local score, life_ms = claim and claim[SCORE], nil
  if when ~= '' then
    local ms, extra_ms = string.match(when, '^(%S+) (%S+)$')
    score, life_ms = whole(now_ms() + ms), math.max(tonumber(ms), 0) + extra_ms
  end
  if score then
    move_in_queue(queue, score, id)
  end
  add_to_delete(lock)
  wake_one(wake) -- whoever it wakes runs the job, or learns when it is due
  return life_ms
end

local function again(id, lock, when, try, how)
  local life_ms = put_back(id, lock, when)
  if how == 'snoozed' then
    uncount(id)
  elseif tonumber(try) > (number(text_at(RETRY .. id)) or 0) then
    write('SET', RETRY .. id, try, 'EX', retry_ttl_s)
  end
  if how == '1' then
    forgive(id, retry_ttl_s, cohort)
  else
    add_to_delete(CRASHES .. id) -- it has ended by itself: no suspect any more
  end
  if life_ms then
    job_lives_for(id, life_ms)
  end
end

local function unbegun(id, lock, when, unread_by, leave_ms)
  local life_ms = put_back(id, lock, when)
  uncount(id)
  if unread_by ~= '' then
    leave_unread(id, retry_ttl_s, unread_by, leave_ms)
  end
  if life_ms then
    job_lives_for(id, life_ms)
  end
end

local n = 1
at = FIRST
while at <= #ARGV do
  local kind, stamp = ARGV[at], ARGV[at + 1]
  if kind == 'done' then
    local keep_ms, hold_ms, stop = ARGV[at + 2], ARGV[at + 3], at + DONE_HEAD + 2 * ARGV[at + 4]
    for i = at + DONE_HEAD, stop - 1, 2 do
      n = n + 1
      if still_ours(ARGV[i], owners[n], stamp) then
        done(ARGV[i], locks[n], ARGV[i + 1], keep_ms, hold_ms)
      else
        lost[#lost + 1] = n - 1
      end
    end
    at = stop
  elseif kind == 'over' then
    over[#over + 1] = stamp
    at = at + 2
  else
    n = n + 1
    if still_ours(ARGV[at + 2], owners[n], stamp) then
      local give_back = kind == 'again' and again or unbegun
      give_back(ARGV[at + 2], locks[n], ARGV[at + 3], ARGV[at + 4], ARGV[at + 5])
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
for _, stamp in ipairs(over) do
  count('HDEL', batches, stamp)
  count('ZREM', lapses, stamp .. ' ' .. worker)
end
return lost
