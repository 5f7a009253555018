-- Calls one of the functions that few calls of a script need: they are made when the first one is called. Needs
-- `rarely_needed`, which may be nil, and `make_rarely_needed`.
local function rarely(which, ...)
  rarely_needed = rarely_needed or make_rarely_needed()
  return rarely_needed[which](...)
end
