-- Give back all jobs of one worker, because it is dead or because it leaves.
--
-- KEYS  1 workers (zset)
-- ARGV  1 prefix   2 worker id   3 '1': it was stopped, do not count these starts   4 s until the start counters expire
-- Result  ids of the jobs
--!include keys
--!include wake
--!include release
return release_worker(KEYS[1], ARGV[2], ARGV[3] == '1', ARGV[4])
