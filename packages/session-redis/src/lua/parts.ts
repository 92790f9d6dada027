/** Pieces that scripts share. Lua of Redis 6.2 and Valkey; nothing here hashes. */

/** The server's clock in milliseconds. */
export const NOW = `
local function now()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
local function whole(number)
  return string.format('%.0f', number)
end
`;

/**
 * Opens a session for a caller that names its incarnation. Needs KEYS[1] head, KEYS[2] lines.
 * opened(incarnation) -> head, seq, hash; or nil, reply:
 *   {-1} there is none, {-2, incarnation of the tombstone}, {-3, incarnation} another life, {-4, role} damaged
 * An empty incarnation stands for any.
 */
export const OPEN = `
local function opened(incarnation)
  local head = redis.call('GET', KEYS[1])
  if not head then
    if redis.call('EXISTS', KEYS[2]) == 1 then return nil, {-4, 'head'} end
    return nil, {-1}
  end
  if string.byte(head) == 35 then return nil, {-2, string.match(head, '^#(%S*)')} end
  local life, seq, hash = string.match(head, '^(%S+) (%d+) (%S+)\\n')
  if not life then return nil, {-4, 'head'} end
  if incarnation ~= '' and life ~= incarnation then return nil, {-3, life} end
  if redis.call('LLEN', KEYS[2]) ~= seq + 1 then return nil, {-4, 'lines'} end
  return head, tonumber(seq), hash
end
`;

/**
 * Lines from first to last, or nil if they have more than limit bytes. Needs KEYS[2] lines.
 * Fetched by steps that begin small: a line may be as long as the store takes.
 */
export const GATHER = `
local function gather(first, last, limit)
  local found, bytes, step = {}, 0, 1
  while first <= last do
    local part = redis.call('LRANGE', KEYS[2], first, math.min(first + step - 1, last))
    for _, line in ipairs(part) do
      bytes = bytes + #line + 1
      if bytes > limit then return nil end
      found[#found + 1] = line
    end
    first = first + step
    step = math.min(step * 2, 32)
  end
  if #found == 0 then return '' end
  return table.concat(found, '\\n') .. '\\n'
end
`;

/**
 * A session in the sets of a scope. span: how long the sets must live at least, 0: for ever.
 * A set without an expiry holds sessions that never expire: it gets none.
 */
export const LIST = `
local function lives(set, span, fresh)
  if span == 0 then
    redis.call('PERSIST', set)
  else
    local left = redis.call('PTTL', set)
    if fresh or (left >= 0 and left < span * 0.75) then redis.call('PEXPIRE', set, span) end
  end
end
local function enter(updated, ids, score, id, span, mode)
  local fresh = span > 0 and redis.call('EXISTS', updated) == 0
  if mode == 'raise' then redis.call('ZADD', updated, 'GT', score, id) else redis.call('ZADD', updated, score, id) end
  redis.call('ZADD', ids, 'NX', 0, id)
  lives(updated, span, fresh)
  lives(ids, span, fresh)
end
`;

/**
 * Attachments of a session: a hash from digests to "<touched at, ms> <chunks> <bytes>", and for each a list of its chunks, whose
 * key is that of the hash, a colon and the digest. The names of the lists follow from the hash: they lie in its slot.
 */
export const BLOBS = `
local function digests(blobs)
  return redis.call('HKEYS', blobs)
end
local function stored(blobs, digest)
  local record = redis.call('HGET', blobs, digest)
  if not record then return nil end
  local touched, rest, chunks = string.match(record, '^(%d+)( (%d+) %d+)$')
  return tonumber(chunks), rest, tonumber(touched)
end
local function expire(blobs, found, at)
  if #found == 0 then return end
  redis.call('PEXPIREAT', blobs, at)
  for _, digest in ipairs(found) do redis.call('PEXPIREAT', blobs .. ':' .. digest, at) end
end
local function persist(blobs, found)
  if #found == 0 then return end
  redis.call('PERSIST', blobs)
  for _, digest in ipairs(found) do redis.call('PERSIST', blobs .. ':' .. digest) end
end
local function unlink(blobs, found)
  for _, digest in ipairs(found) do redis.call('UNLINK', blobs .. ':' .. digest) end
end
`;

/**
 * How a script tells who watches its session, in the channel that has the name of its head. Never its failure: the work is done.
 * A Cluster keeps the message of a sharded channel among the nodes that have the slot.
 */
export type Voice = "silent" | "PUBLISH" | "SPUBLISH";
export function tell(voice: Voice): string {
  return voice === "silent" ? "" : `redis.pcall('${voice}', KEYS[1], '')`;
}
