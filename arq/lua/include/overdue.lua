-- Workers that have not been heard of in time. `registers`: the keys of one or more.
local function overdue(...)
  local found, is_known = {}, {}
  for _, register in ipairs({...}) do
    local members = redis.pcall('ZRANGEBYSCORE', register, '-inf', now_ms(), 'LIMIT', 0, 100)
    for _, worker in ipairs(members.err and {} or members) do
      if not is_known[worker] then
        is_known[worker] = true
        found[#found + 1] = worker
      end
    end
  end
  return found
end

-- Give back the jobs of one of them. To `swept` is added who it is, and what was released, see include/release.lua.
local function sweep(registers, worker, retry_ttl_s, swept)
  swept[#swept + 1] = worker
  swept[#swept + 1] = release_worker(registers, worker, 'died', retry_ttl_s, 'vanished')
end
