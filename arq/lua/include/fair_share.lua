-- For claim.lua: when there is not enough for all workers, each takes its part. `most`: how many jobs are wanted.
if is_fair then
  alive = try('ZCOUNT', workers, now_text, '+inf')
  alive = type(alive) == 'number' and alive or 0
  if alive > 1 then
    most = math.max(1, math.min(limit, math.ceil(call('ZCOUNT', queue, '-inf', now_text) / alive)))
    shared = most < limit and 1 or 0
  end
end
