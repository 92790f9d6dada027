export const PROBE: string = `
-- Tries every command that the scripts use: a script that may do only a part of its work would leave half of it behind.
-- KEYS  1 text, 2 list, 3 hash, 4 sorted set, 5 and 6 for renaming; all are gone afterwards
-- ARGV  1 how changes are told
-- reply {1, told} all are allowed, {0, told, message of the server, ...}; told is 1 if that is allowed, too
local refused = {}
local function try(...)
  local reply = redis.pcall(...)
  if type(reply) == 'table' and reply.err then refused[#refused + 1] = string.upper((...)) .. ': ' .. reply.err end
end
try('SET', KEYS[1], '1', 'PX', 1000)
try('GET', KEYS[1])
try('PTTL', KEYS[1])
try('PERSIST', KEYS[1])
try('RPUSH', KEYS[2], 'a')
try('LLEN', KEYS[2])
try('LINDEX', KEYS[2], 0)
try('LRANGE', KEYS[2], 0, 0)
try('HSET', KEYS[3], 'a', '1')
try('HMGET', KEYS[3], 'a')
try('HLEN', KEYS[3])
try('HGET', KEYS[3], 'a')
try('HKEYS', KEYS[3])
try('HGETALL', KEYS[3])
try('HDEL', KEYS[3], 'b')
try('ZADD', KEYS[4], 1, 'a')
try('ZSCORE', KEYS[4], 'a')
try('ZCARD', KEYS[4])
try('ZCOUNT', KEYS[4], 0, 1)
try('ZREVRANGE', KEYS[4], 0, 0)
try('ZRANGE', KEYS[4], 0, 0)
try('ZRANGEBYLEX', KEYS[4], '-', '+')
try('ZREM', KEYS[4], 'b')
try('EXISTS', KEYS[1])
try('PEXPIRE', KEYS[2], 1000)
try('PEXPIREAT', KEYS[3], 32503680000000)
try('SET', KEYS[5], '1')
try('RENAME', KEYS[5], KEYS[6])
try('TIME')
try('DEL', KEYS[1], KEYS[2], KEYS[3])
try('UNLINK', KEYS[4], KEYS[5], KEYS[6])
local told = redis.pcall(ARGV[1], KEYS[1], '')
local isTold = (type(told) == 'table' and told.err) and 0 or 1
if #refused > 0 then return {0, isTold, unpack(refused)} end
return {1, isTold}
`;
