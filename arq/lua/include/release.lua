-- Give back everything that a worker holds: its jobs get the score they had before, and become free again.
-- Returns {ids of the jobs, id of the one that is blamed for the worker's death or '', 1 if one was a suspect before}. Jobs whose
-- lock names somebody else are left alone.
-- `why`: 'unbegun' (the worker leaves and has begun none of them), 'stopped' (a shutdown ended them) or 'died'. `detail`: how it
-- died, or when it was stopped its cohort, see include/give_back.lua.
local function release_worker(leases, worker, why, retry_ttl_s, detail)
  local claims = CLAIMS .. worker
  local held = all_of(claims)
  local released, stamps, queues = {}, {}, {}
  for i = 1, #held, 2 do
    local id = held[i]
    local score, _, stamp, queue = recall(held[i + 1])
    if is_held_by(worker, id, text_at(LOCK .. id), held[i + 1]) then
      redis.call('DEL', LOCK .. id)
      if queue then
        move_in_queue(queue, score, id)
        queues[queue] = true
      end
      if why == 'unbegun' then
        uncount(id)
      elseif why == 'stopped' then
        forgive(id, retry_ttl_s, detail)
      end
      released[#released + 1] = id
      stamps[#released] = stamp
    end
  end
  redis.call('DEL', claims, EPOCH .. worker) -- no member: all its claims are refused from now on
  count('ZREM', leases, worker)
  for queue in pairs(queues) do
    wake_one(WAKE .. queue)
    if why ~= 'unbegun' then -- a second one: the dead worker may have been waiting, and Redis may not know yet that it is gone
      redis.call('RPUSH', WAKE .. queue, '1')
    end
  end
  local culprit, was_suspected = '', false
  if why == 'died' then
    culprit, was_suspected = blame(released, stamps, detail, retry_ttl_s)
  end
  return {released, culprit, was_suspected and 1 or 0}
end
