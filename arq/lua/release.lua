-- Give back all jobs of one worker, because it is dead or because it leaves.
--
-- KEYS  1 workers that are presumed alive (zset)
-- ARGV  1 prefix   2 worker id   3 why, and 5 cohort: see include/release.lua   4 s until the start counters expire
-- Result  ids of the jobs
--!include keys
--!include wake
--!include give_back
--!include release
return release_worker(KEYS[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5])
