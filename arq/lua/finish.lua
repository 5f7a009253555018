-- Write how jobs of a worker ended. A job that was given to somebody else meanwhile is left alone.
--
-- KEYS  1 queue (zset)   2 its wake-up tokens (list)   3 claims of this worker (hash)   4 requests to abort (zset)
-- ARGV  1 prefix   2 worker id   3 s until the start counters expire
--       4 '' | 'EPOCH COHORT' of a worker that stops: its claims of earlier epochs count no more, as of now: one that is on its
--         way or waits for a token must not take what is given back here. And workers of that cohort, if there is a name, leave
--         what it gives back to others
--       then for each job: id, stamp of the claim, ending, a, b, c
--         ending 'done'   a result ('' none)   b ms to keep it ('' for ever)   c ms to keep the lock and the job ('' not at all,
--                         'once' neither, and this was its only start: nothing is counted of others)
--         ending 'again'  a when: '' at its old score | ms from now   b number of this try   c '1': a shutdown interrupted it
--         ending 'unbegun'  it was claimed, and never ran: this start does not count for anybody   a when, as above
--                         b '' | cohort that leaves it to others, because it can't read it   c for so many ms
-- Result  one number a job: 1 written, 0 not ours any more
--!include keys
--!include wake
--!include epoch
--!include give_back
local queue, wake, claims, aborts = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local worker, retry_ttl_s = ARGV[2], ARGV[3]
local STEP, FIRST = 6, 5
local epoch, cohort = string.match(ARGV[4], '^(%d+):(.*)$')
local now
if epoch then
  refuse_claims_before(worker, epoch)
end

-- Not if it was finished before and has been claimed anew: a write whose answer was lost is repeated.
local function still_ours(id, owner, note, stamp)
  if note and not has_stamp(note, stamp) then
    return false
  end
  return is_held_by(worker, id, owner, note)
end

local delete, finished, settled = {}, {}, {}
-- What the results are written with: the server may only refuse the first one (include/keys.lua).
local put = write

local function done(id, result, keep_ms, hold_ms)
  if result ~= '' then
    if keep_ms == '' then
      put('SET', RESULT .. id, result)
    else
      put('SET', RESULT .. id, result, 'PX', keep_ms)
    end
    put = redis.call
  end
  if hold_ms == '' or hold_ms == 'once' then
    delete[#delete + 1] = LOCK .. id
    delete[#delete + 1] = JOB .. id
  else
    redis.call('PEXPIRE', LOCK .. id, hold_ms)
    redis.call('PEXPIRE', JOB .. id, hold_ms)
  end
  delete[#delete + 1] = RETRY .. id
  if hold_ms ~= 'once' then
    delete[#delete + 1] = INTERRUPTED .. id
    delete[#delete + 1] = CRASHES .. id
  end
  finished[#finished + 1] = id
end

local function put_back(id, note, when)
  local score = note and recall(note)
  if when ~= '' then
    now = now or now_ms()
    score = whole(now + when)
  end
  if score then
    move_in_queue(queue, score, id)
  end
end

local function again(id, note, when, try, interrupted)
  put_back(id, note, when)
  if tonumber(try) > (number(text_at(RETRY .. id)) or 0) then
    write('SET', RETRY .. id, try, 'EX', retry_ttl_s)
  end
  if interrupted == '1' then
    forgive(id, retry_ttl_s, cohort or '')
  else
    delete[#delete + 1] = CRASHES .. id -- it has ended by itself: no suspect any more
  end
  delete[#delete + 1] = LOCK .. id
  wake_one(wake) -- whoever it wakes runs the job, or learns when it is due
end

local function unbegun(id, note, when, unread_by, leave_ms)
  put_back(id, note, when)
  uncount(id)
  if unread_by ~= '' then
    leave_unread(id, retry_ttl_s, unread_by, leave_ms)
  end
  delete[#delete + 1] = LOCK .. id
  wake_one(wake)
end

local locks, ids = {}, {}
for i = FIRST, #ARGV, STEP do
  locks[#locks + 1] = LOCK .. ARGV[i]
  ids[#ids + 1] = ARGV[i]
end
local owners = redis.call('MGET', unpack(locks))
local notes = redis.pcall('HMGET', claims, unpack(ids)) -- nothing is known where it is of another type

local answers = {}
for n, id in ipairs(ids) do
  local i = FIRST + (n - 1) * STEP
  if still_ours(id, owners[n], notes[n], ARGV[i + 1]) then
    if ARGV[i + 2] == 'done' then
      done(id, ARGV[i + 3], ARGV[i + 4], ARGV[i + 5])
    elseif ARGV[i + 2] == 'unbegun' then
      unbegun(id, notes[n], ARGV[i + 3], ARGV[i + 4], ARGV[i + 5])
    else
      again(id, notes[n], ARGV[i + 3], ARGV[i + 4], ARGV[i + 5])
    end
    settled[#settled + 1] = id
    answers[n] = 1
  else
    if notes[n] and has_stamp(notes[n], ARGV[i + 1]) then -- this claim was lost to another worker
      settled[#settled + 1] = id
    end
    answers[n] = 0
  end
end

if #delete > 0 then
  for i = 1, #delete, 1000 do
    redis.call('DEL', unpack(delete, i, math.min(i + 999, #delete)))
  end
end
if #finished > 0 then
  count('ZREM', queue, unpack(finished))
  count('ZREM', aborts, unpack(finished))
end
if #settled > 0 then
  count('HDEL', claims, unpack(settled))
end
return answers
