-- A start that came to nothing.
-- For so long those who go as well leave a job to those who stay; then it must not wait any longer.
local LEFT_MS = 15000

-- It never began: as if the job had not been claimed.
local function uncount(id)
  if (tonumber(redis.call('GET', RETRY .. id)) or 0) > 1 then
    redis.call('DECR', RETRY .. id)
  else
    redis.call('DEL', RETRY .. id)
  end
end

-- It can't be read by the workers of a cohort, and shall be left to others. A claim looks for that where a start was interrupted.
local function leave_unread(id, retry_ttl_s, cohort, leave_ms)
  redis.call('SET', INTERRUPTED .. id, 0, 'NX', 'EX', retry_ttl_s)
  redis.call('SET', LEFT .. id, cohort, 'PX', leave_ms)
end

-- It began and is not held against the job. `cohort`: workers that are about to go, too, and shall not take it; or ''.
local function forgive(id, retry_ttl_s, cohort)
  redis.call('INCR', INTERRUPTED .. id)
  redis.call('EXPIRE', INTERRUPTED .. id, retry_ttl_s)
  if cohort ~= '' then
    redis.call('SET', LEFT .. id, cohort, 'PX', LEFT_MS)
  end
end
