export const CLAIM: string = `
-- Takes a unique key that nobody has.
-- KEYS  1 record of the key
-- ARGV  1 value, 2 how long it is kept in ms, 0: for ever
-- reply {1} taken, {0, value that is there}
local value = redis.call('GET', KEYS[1])
if value then return {0, value} end
if ARGV[2] == '0' then redis.call('SET', KEYS[1], ARGV[1]) else redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
return {1}
`;

export const SWAP: string = `
-- Changes the record of a unique key if it is as expected.
-- KEYS  1 record of the key
-- ARGV  1 expected value, '': whatever is there, 2 value or '' (remove), 3 how long it is kept in ms, 0: for ever
-- reply {1} changed, {0, value that is there or false}
local value = redis.call('GET', KEYS[1])
if ARGV[1] ~= '' and value ~= ARGV[1] then return {0, value} end
if ARGV[2] == '' then
  redis.call('DEL', KEYS[1])
elseif ARGV[3] == '0' then
  redis.call('SET', KEYS[1], ARGV[2])
else
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
return {1}
`;

export const PROLONG: string = `
-- Prolongs the record of a unique key that expires.
-- KEYS  1 record of the key
-- ARGV  1 value that it must have, 2 how long it is kept from now on in ms
-- reply {1} prolonged, {0} it is another, is gone, or does not expire
if redis.call('GET', KEYS[1]) ~= ARGV[1] or redis.call('PTTL', KEYS[1]) < 0 then return {0} end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return {1}
`;
