-- Note what somebody has done, and keep the newest notes.
--
-- KEYS  1 the audit trail (stream)
-- ARGV  1 prefix   2 how many notes to keep, about   3 ms for which they are kept   4.. names and values
-- Result  the id of the note
--!include keys
local note = write('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', unpack(ARGV, 4))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return note
