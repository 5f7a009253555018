-- Write health lines. Also to a server over its memory limit: whoever watches must see that the workers live.
--
-- KEYS  health keys (text)
-- ARGV  1 prefix   2 ms to keep them   3.. a line for each key
-- Result  nothing
--!include keys
for i = 3, #ARGV do
  write('SET', KEYS[i - 2], ARGV[i], 'PX', ARGV[2])
end
