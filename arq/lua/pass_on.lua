-- Leave a wake-up token for another worker.
--
-- KEYS  1 wake-up tokens (list)
-- ARGV  1 prefix
-- Result  nothing
--!include keys
--!include wake
wake_one(KEYS[1])
