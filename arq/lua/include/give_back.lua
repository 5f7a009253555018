-- A start that came to nothing.
-- For so long those who go as well leave a job to those who stay; then it must not wait any longer.
local LEFT_MS = 15000

-- It never began: as if the job had not been claimed.
local function uncount(id)
  local starts = number(text_at(RETRY .. id)) or 0
  if starts > 1 then
    write('SET', RETRY .. id, whole(starts - 1), 'KEEPTTL')
  else
    redis.call('DEL', RETRY .. id)
  end
end

-- It began, and the first start is not counted before it must be: that of a worker which lives is in its claim.
local function count_first(id, retry_ttl_s)
  write('SET', RETRY .. id, '1', 'NX', 'EX', retry_ttl_s)
end

-- It can't be read by the workers of a cohort, and shall be left to others. Claims of earlier versions look for that where a start was
-- interrupted.
local function leave_unread(id, retry_ttl_s, cohort, leave_ms)
  write('SET', INTERRUPTED .. id, 0, 'NX', 'EX', retry_ttl_s)
  write('SET', LEFT .. id, cohort, 'PX', leave_ms)
end

-- It began and is not held against the job. `cohort`: workers that are about to go, too, and shall not take it; or ''.
local function forgive(id, retry_ttl_s, cohort)
  local before = number(text_at(INTERRUPTED .. id)) or 0
  write('SET', INTERRUPTED .. id, whole(before + 1), 'EX', retry_ttl_s)
  if cohort ~= '' then
    redis.call('SET', LEFT .. id, cohort, 'PX', LEFT_MS)
  end
end
