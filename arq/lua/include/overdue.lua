-- Workers that have not been heard of in time.
local function overdue(leases)
  local found = redis.pcall('ZRANGEBYSCORE', leases, '-inf', now_ms(), 'LIMIT', 0, 100)
  return found.err and {} or found
end

-- Give back the jobs of one of them. To `swept` is added who it is, and what was released, see include/release.lua.
local function sweep(leases, worker, retry_ttl_s, swept)
  swept[#swept + 1] = worker
  swept[#swept + 1] = release_worker(leases, worker, 'died', retry_ttl_s, 'vanished')
end
