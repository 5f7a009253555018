-- Who has which job. What a claim gives to a worker is one note in the hash `arq:batches:<worker>`, under the stamp of the claim: the
-- score that the claim gave to the jobs, their queue, and of each job the id and the score that it had before, a line each; an empty line
-- stands for the same score as that of the job before. A note begins with % where one of them has a line's end in it: %0A stands for that,
-- and %25 for %.
-- Workers of earlier versions have a hash `arq:claims:<worker>`, with a note of its own for each job.
-- In the sorted set `arq:lapses` stands when somebody is to look whether one of a worker's claims has lapsed.
local BATCHES, LAPSES = prefix .. 'batches:', prefix .. 'lapses'

local function decoded(line)
  return (string.gsub((string.gsub(line, '%%0A', '\n')), '%%25', '%%'))
end

local function lines_of(note)
  local is_encoded = string.sub(note, 1, 1) == '%'
  local at, lines = is_encoded and 2 or 1, {}
  while at do
    local stop = string.find(note, '\n', at, true)
    local line = string.sub(note, at, (stop or 0) - 1)
    lines[#lines + 1] = is_encoded and decoded(line) or line
    at = stop and stop + 1
  end
  return lines
end

-- The same note with another score.
local function with_lapse(note, lapse)
  local stop = string.find(note, '\n', 1, true) or 0
  return (string.sub(note, 1, 1) == '%' and '%' or '') .. lapse .. string.sub(note, stop)
end

-- A claim of one job: {id, score before the claim, score that the claim gave it, stamp that tells this claim from all others, queue}.
local ID, SCORE, LAPSE, STAMP, QUEUE = 1, 2, 3, 4, 5

-- The claims in a note.
local function claims_in(note, stamp)
  local lines, claims = lines_of(note), {}
  local score
  for n = 3, #lines - 1, 2 do
    score = lines[n + 1] ~= '' and lines[n + 1] or score
    if score and tonumber(score) then
      claims[#claims + 1] = {lines[n], score, lines[1], stamp, lines[2]}
    end
  end
  return claims
end

-- All claims of a worker, and the same by the jobs' ids. Jobs of a batch may be over, and a job may have been claimed once more since:
-- the last claim counts. What is no note of ours is left out.
local function claims_of(worker)
  local claims, by_id = {}, {}
  local function add(claim)
    local before = by_id[claim[ID]]
    if not before then
      claims[#claims + 1] = claim
      by_id[claim[ID]] = claim
    elseif (number(claim[STAMP]) or 0) > (number(before[STAMP]) or 0) then
      for field = SCORE, QUEUE do
        before[field] = claim[field]
      end
    end
  end
  local old = all_of(CLAIMS .. worker)
  for i = 1, #old, 2 do
    add({old[i], string.match(old[i + 1], '^(%S+) (%S+) (%S+) (.*)$')})
  end
  local batches = all_of(BATCHES .. worker)
  for i = 1, #batches, 2 do
    for _, claim in ipairs(claims_in(batches[i + 1], batches[i])) do
      add(claim)
    end
  end
  return claims, by_id
end

-- Whether a job is still a worker's: the lock names the worker, or it lapsed and nobody has taken the job since, which the score shows.
local function is_held_by(worker, owner, claim)
  if owner then
    return owner == worker
  end
  return claim and claim[QUEUE] ~= nil and score_of(claim[ID], claim[QUEUE]) == claim[LAPSE]
end

-- Whom the locks of these claims name, false where there is none.
local function owners_of(claims)
  local owners = {}
  for first = 1, #claims, 1000 do
    local names = {}
    for n = first, math.min(first + 999, #claims) do
      names[#names + 1] = LOCK .. claims[n][ID]
    end
    for n, owner in ipairs(redis.call('MGET', unpack(names))) do
      owners[first + n - 1] = owner
    end
  end
  return owners
end
