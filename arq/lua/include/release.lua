-- Give back everything that a worker holds: its jobs get the score they had before, and become free again.
-- Returns {ids of the jobs, id of the one that is blamed for the worker's death or '', 1 if one was a suspect before}. Jobs whose
-- lock names somebody else are left alone.
-- `registers`: keys of the registers in which it stands. `why`: 'unbegun' (the worker leaves and has begun none of them), 'stopped' (a
-- shutdown ended them) or 'died'. `detail`: how it died, or when it was stopped its cohort, see include/give_back.lua.
local function release_worker(registers, worker, why, retry_ttl_s, detail)
  local claims = claims_of(worker)
  local owners = owners_of(claims)
  local released, stamps, queues = {}, {}, {}
  for n, claim in ipairs(claims) do
    local id, queue = claim[ID], claim[QUEUE]
    if is_held_by(worker, owners[n], claim) then
      redis.call('DEL', LOCK .. id)
      if queue then
        move_in_queue(queue, claim[SCORE], id)
        queues[queue] = true
      end
      if why == 'unbegun' then
        uncount(id)
      else
        count_first(id, retry_ttl_s)
      end
      if why == 'stopped' then
        forgive(id, retry_ttl_s, detail)
      end
      released[#released + 1] = id
      stamps[#released] = claim[STAMP]
    end
  end
  redis.call('DEL', CLAIMS .. worker, BATCHES .. worker, EPOCH .. worker) -- no member: all its claims are refused from now on
  for _, register in ipairs(registers) do
    count('ZREM', register, worker)
  end
  count('ZREM', LAPSES, worker)
  for queue in pairs(queues) do
    local wake = WAKE .. name_of(queue)
    wake_one(wake)
    if why ~= 'unbegun' then -- a second one: the dead worker may have been waiting, and Redis may not know yet that it is gone
      redis.call('RPUSH', wake, '1')
    end
  end
  local culprit, was_suspected = '', false
  if why == 'died' then
    culprit, was_suspected = blame(released, stamps, detail, retry_ttl_s)
  end
  return {released, culprit, was_suspected and 1 or 0}
end
