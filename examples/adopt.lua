-- Makes a counter of a key that INCR has kept: same name, same value, same expiry.
--
--   redis-cli EVAL "$(cat examples/adopt.lua)" 1 visits LOG MAXLEN 1000
--
-- Arguments are options of SCOUNTER.CREATE. A script is atomic: no INCR is lost between its commands, and those that
-- come after it get WRONGTYPE.
local key = KEYS[1]
if redis.call('TYPE', key).ok ~= 'string' then
  return redis.error_reply('ERR key must hold a string')
end
redis.call('INCRBY', key, 0) -- an error unless it holds an integer
local value = redis.call('GET', key) -- as text: a number of Lua is exact up to 2^53 only
local expires_ms = redis.call('PEXPIRETIME', key)
redis.call('DEL', key)
local made = redis.pcall('SCOUNTER.CREATE', key, 'INITIAL', value, unpack(ARGV))
if made.err then
  redis.call('SET', key, value) -- refused: as it was
end
if expires_ms > 0 then
  redis.call('PEXPIREAT', key, expires_ms)
end
return made
