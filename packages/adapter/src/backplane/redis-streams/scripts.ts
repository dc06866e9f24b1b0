/**
 * What happens in Redis, in one step each: the scripts, and the names of their results.
 * Runs in: Redis, called from where the hub is.
 *
 * Keys, after the prefix: `state` hash; `hosts` set of names; `h:<host>` hash of generation, lease and its length, inbox
 * counts, and whether it has told interest and namespaces; `in:<host>` inbox; `i:<host>` bits of its interest;
 * `ns:<host>` hash of its namespaces; `b:<host>` its last batch; `j` journal; `jc` list of places where the journal may be
 * cut; `c` changes; `s:…` sessions.
 *
 * Every script that writes to a stream takes the next number, and gives its entries this number as their id. So the
 * entries of all streams have one order.
 *
 * Longer than other files: the scripts share names of keys and of fields that no compiler compares, so they stand
 * together.
 */
import { createHash } from "node:crypto";

/** What a script answers first. */
export const Answer = {
  ok: "OK",
  /** The host was taken for gone, or there is a newer one of its name: it has to join anew. */
  fenced: "FENCED",
  /** The data in Redis are not those that this host knows: it has to join anew. */
  lost: "LOST",
  /** The hosts that are there speak another protocol. */
  protocol: "PROTOCOL",
} as const;

export interface Script {
  readonly source: string;
  readonly sha: string;
}

/** KEYS[1] is the state's; ARGV[1] the prefix. */
const COMMON = `
local state, prefix = KEYS[1], ARGV[1]
local call = redis.call
local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
-- Tells an entry from another one of its number that another server has.
local mark = clock[1] .. '.' .. clock[2]

local function nextNumber() return call('HINCRBY', state, 'n', 1) end

local function tell(n, ...)
  local before = call('HGET', state, 'cv') or '0'
  call('XADD', prefix .. 'c', 'MAXLEN', '~', '4096', n .. '-0', 'm', mark, 'p', before, ...)
  call('HSET', state, 'cv', n)
end

-- In this order: if a step is refused, whoever looks next does it, as long as the host has its name here.
local function evict(host, reason)
  call('DEL', prefix .. 'h:' .. host, prefix .. 'in:' .. host, prefix .. 'i:' .. host, prefix .. 'ns:' .. host)
  tell(nextNumber(), 'h', host, 't', 'gone', 'r', reason)
  call('SREM', prefix .. 'hosts', host)
end

local function contains(list, host)
  for _, other in ipairs(list) do if other == host then return true end end
  return false
end

local function renew(host, ms, ...) call('HSET', prefix .. 'h:' .. host, 'lease', now + ms, 'ms', ms, ...) end

local function evictExpired(except)
  for _, host in ipairs(call('SMEMBERS', prefix .. 'hosts')) do
    if host ~= except then
      local known = call('HMGET', prefix .. 'h:' .. host, 'lease', 'ti', 'tn', 'ms')
      local ms = tonumber(known[4] or 60000)
      if not known[1] or tonumber(known[1]) < now then evict(host, 'silent')
      -- Redis has thrown away what it has told, and nobody who joins would know: it has to tell it again.
      elseif tonumber(known[2] or 0) > call('EXISTS', prefix .. 'i:' .. host)
        or tonumber(known[3] or 0) > call('EXISTS', prefix .. 'ns:' .. host) then evict(host, 'silent')
      -- The clock has been set back, and who is gone would be here until it is as late again.
      elseif tonumber(known[1]) > now + ms then renew(host, ms) end
    end
  end
end

local function check(host, generation, epoch, seen)
  if call('HGET', prefix .. 'h:' .. host, 'g') ~= generation then
    if call('HGET', state, 'epoch') == epoch then return 'FENCED' end
    return 'LOST'
  end
  local known = call('HMGET', state, 'epoch', 'n')
  if known[1] ~= epoch or tonumber(known[2] or 0) < tonumber(seen) then return 'LOST' end
  return nil
end
`;

function script(body: string): Script {
  const source = COMMON + body;
  return { source, sha: createHash("sha1").update(source).digest("hex") };
}

/**
 * ARGV: prefix, host, its generation ('' if none), the next one, protocol, ms of lease, epoch known ('' if none), number
 * seen, new epoch, new seed, new secret, name of its connection, number and mark of the last entry that it has read of
 * the journal, the same of the changes.
 * @returns OK, 'new' or 'same', epoch, seed, secret, number, change, number of the last packet, last batch and behind a
 * colon the number of its first packet, then for each other host
 * name, address (none if it has told none), bits, namespaces; or PROTOCOL, theirs
 */
export const JOIN = script(`
local host, generation, fresh, protocol = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local lease, knownEpoch, seen = tonumber(ARGV[6]), ARGV[7], tonumber(ARGV[8])
local newEpoch, newSeed, newSecret = ARGV[9], ARGV[10], ARGV[11]
evictExpired(host)
local known = call('HMGET', state, 'epoch', 'n', 'protocol')
local epoch, n = known[1], tonumber(known[2] or 0)
local others = call('SMEMBERS', prefix .. 'hosts')
if epoch and known[3] ~= protocol then
  for _, other in ipairs(others) do
    if other ~= host then return {'PROTOCOL', known[3]} end
  end
  epoch = false
end
-- Another server may have taken over without the newest, and others may have gone on there, past the number seen.
local function holds(stream, number, marked)
  local entry = call('XREVRANGE', prefix .. stream, number .. '-0', '-', 'COUNT', 1)[1]
  if not entry then return true end
  return entry[1] == number .. '-0' and entry[2][2] == marked
end
local isInOrder = n >= seen and holds('j', ARGV[13], ARGV[14])
local isSame = isInOrder and holds('c', ARGV[15], ARGV[16]) and contains(others, host) and epoch and epoch == knownEpoch
  and call('HGET', prefix .. 'h:' .. host, 'g') == generation
if isSame then
  renew(host, lease, 'cid', ARGV[12])
  local same = call('HMGET', state, 'seed', 'secret', 'cv', 'seq')
  return {'OK', 'same', epoch, same[1], same[2], n, same[3], same[4] or '0', call('GET', prefix .. 'b:' .. host) or '0'}
end
if not epoch or (epoch == knownEpoch and not isInOrder) then
  epoch = newEpoch
  n = math.max(n, seen)
  call('DEL', prefix .. 'j', prefix .. 'jc', prefix .. 'c')
  call('HDEL', state, 'seq', 'jb', 'je', 'jt', 'jB', 'cv')
  call('HSET', state, 'epoch', epoch, 'n', n, 'protocol', protocol)
  call('HSETNX', state, 'seed', newSeed)
  call('HSETNX', state, 'secret', newSecret)
end
call('DEL', prefix .. 'in:' .. host, prefix .. 'i:' .. host, prefix .. 'ns:' .. host, prefix .. 'h:' .. host)
renew(host, lease, 'g', fresh, 'cid', ARGV[12])
call('SADD', prefix .. 'hosts', host)
n = nextNumber()
tell(n, 'h', host, 't', 'host')
local shared = call('HMGET', state, 'seed', 'secret', 'seq')
local answer = {'OK', 'new', epoch, shared[1], shared[2], n, n, shared[3] or '0', call('GET', prefix .. 'b:' .. host) or '0'}
for _, other in ipairs(others) do
  if other ~= host then
    table.insert(answer, {
      other, call('HGET', prefix .. 'h:' .. other, 'a'), call('GET', prefix .. 'i:' .. other) or '',
      call('HGETALL', prefix .. 'ns:' .. other)
    })
  end
end
return answer
`);

/**
 * One turn's frames of a host.
 * ARGV: prefix, host, generation, epoch, number seen, number of the batch, last change that the host has read, most bytes
 * of an inbox, most bytes of the journal, ms that the journal keeps packets, table of names; then operations:
 * `r` count, number that the batch had first, frames; `w` hosts host… frames (for hosts that want them); `a` host frames; `c` wants drops namespaces left
 * address ('' if it is as before, otherwise behind a '='); `k` key ms fields (field value)…; `x` key ms; `f` key.
 * @returns OK, number, 1 if all hosts got what was for some, 1 if the host had not read the last change, number of the
 * first packet (0 if there is none), sessions that another host has
 */
export const BATCH = script(`
local host, generation, epoch = ARGV[2], ARGV[3], ARGV[4]
local problem = check(host, generation, epoch, ARGV[5])
if problem then return {problem} end
local isStale = (call('HGET', state, 'cv') or '0') ~= ARGV[7]
local everybody
if isStale then
  everybody = call('SMEMBERS', prefix .. 'hosts')
  if not contains(everybody, host) then return {'FENCED'} end
end
local batch, table_ = tonumber(ARGV[6]), ARGV[11]
local doneBatch, doneRecord = string.match(call('GET', prefix .. 'b:' .. host) or '0:0', '(%d+):(%d+)')
if batch <= tonumber(doneBatch) then
  return {'OK', tonumber(call('HGET', state, 'n')), 0, 1, doneRecord}
end
local maxInbox, maxJournal, keep = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
local n = nextNumber()
local wasWidened = 0
local firstRecord = '0'
local inboxes, order = {}, {}
local lostSessions = {}

local function setDone(first) call('SET', prefix .. 'b:' .. host, batch .. ':' .. first, 'PX', 86400000) end

local function put(to, frames)
  local parts = inboxes[to]
  if not parts then
    parts = {table_}
    inboxes[to] = parts
    order[#order + 1] = to
  end
  parts[#parts + 1] = frames
end

local function owns(key)
  local owner = call('HGET', key, 'o')
  if not owner or owner == '' or owner == host then return true end
  lostSessions[#lostSessions + 1] = key
  return false
end

local function u32s(bytes, visit)
  for at = 1, #bytes, 4 do visit((struct.unpack('<I4', bytes, at))) end
end

-- Nothing is done by halves: of a slot that is on its way to another server, some keys have gone, and others not.
local function touch(hasRecords)
  local keys = {prefix .. 'b:' .. host}
  for _, to in ipairs(order) do
    keys[#keys + 1] = prefix .. 'h:' .. to
    keys[#keys + 1] = prefix .. 'in:' .. to
  end
  if hasRecords then
    keys[#keys + 1] = prefix .. 'j'
    keys[#keys + 1] = prefix .. 'jc'
  end
  call('EXISTS', unpack(keys))
end

local at = 12
while at <= #ARGV do
  local op = ARGV[at]
  if op == 'w' then
    local count = tonumber(ARGV[at + 1])
    local frames = ARGV[at + 2 + count]
    if isStale then
      if #everybody - 1 > count then wasWidened = 1 end
      for _, to in ipairs(everybody) do if to ~= host then put(to, frames) end end
    else
      for i = at + 2, at + 1 + count do put(ARGV[i], frames) end
    end
    at = at + 3 + count
  elseif op == 'a' then
    put(ARGV[at + 1], ARGV[at + 2])
    at = at + 3
  elseif op == 'r' then
    local count, original, frames = tonumber(ARGV[at + 1]), ARGV[at + 2], ARGV[at + 3]
    touch(true)
    local last = call('HINCRBY', state, 'seq', count)
    local body = table_ .. frames
    firstRecord = string.format('%.0f', last - count + 1)
    call('XADD', prefix .. 'j', n .. '-0', 'm', mark, 'h', host, 'b', batch, 'o', original, 's', firstRecord, 'f', body)
    -- Whatever is refused after this: what has its place is not placed again.
    setDone(firstRecord)
    local bytes = call('HINCRBY', state, 'jb', #body)
    local cut = call('HMGET', state, 'jt', 'jB', 'je')
    if now - tonumber(cut[1] or 0) >= 1000 or bytes - tonumber(cut[2] or 0) > maxJournal / 32 then
      call('RPUSH', prefix .. 'jc', n .. ':' .. now .. ':' .. string.format('%.0f', bytes))
      call('HSET', state, 'jt', now, 'jB', string.format('%.0f', bytes))
    end
    local gone = tonumber(cut[3] or 0)
    for _ = 1, 64 do
      local first = call('LINDEX', prefix .. 'jc', 0)
      if not first then break end
      local id, time, upTo = string.match(first, '(%d+):(%d+):(%d+)')
      -- The newest is kept, however large it is: nobody has read it.
      if tonumber(id) == n or (now - tonumber(time) <= keep and bytes - gone <= maxJournal) then break end
      call('XTRIM', prefix .. 'j', 'MINID', (tonumber(id) + 1) .. '-0')
      call('LPOP', prefix .. 'jc')
      gone = tonumber(upTo)
      call('HSET', state, 'je', upTo)
    end
    at = at + 4
  elseif op == 'c' then
    local bits, names = prefix .. 'i:' .. host, prefix .. 'ns:' .. host
    u32s(ARGV[at + 1], function(bucket) call('SETBIT', bits, bucket, 1) end)
    u32s(ARGV[at + 2], function(bucket) call('SETBIT', bits, bucket, 0) end)
    for _, pair in ipairs(cjson.decode(ARGV[at + 3])) do
      if pair[2] == cjson.null then call('HDEL', names, pair[1]) else call('HSET', names, pair[1], pair[2]) end
    end
    call('HSET', prefix .. 'h:' .. host, 'ti', call('EXISTS', bits), 'tn', call('EXISTS', names))
    local address = ARGV[at + 5]
    if address ~= '' then call('HSET', prefix .. 'h:' .. host, 'a', string.sub(address, 2)) end
    tell(n, 'h', host, 't', 'told', 'w', ARGV[at + 1], 'd', ARGV[at + 2], 'n', ARGV[at + 3], 'l', ARGV[at + 4], 'a', address)
    at = at + 6
  elseif op == 'k' then
    local key, fields = ARGV[at + 1], tonumber(ARGV[at + 3])
    if owns(key) then
      call('HSET', key, 'o', host, unpack(ARGV, at + 4, at + 3 + 2 * fields))
      call('PEXPIRE', key, ARGV[at + 2])
    end
    at = at + 4 + 2 * fields
  elseif op == 'x' then
    local key = ARGV[at + 1]
    if call('EXISTS', key) == 1 and owns(key) then
      call('HSET', key, 'o', '')
      call('PEXPIRE', key, ARGV[at + 2])
    end
    at = at + 3
  else
    local key = ARGV[at + 1]
    if call('EXISTS', key) == 1 and owns(key) then call('DEL', key) end
    at = at + 2
  end
end

if firstRecord == '0' then
  touch(false)
  setDone(firstRecord)
end
for _, to in ipairs(order) do
  local known = prefix .. 'h:' .. to
  if call('HEXISTS', known, 'g') == 1 then
    local body = table.concat(inboxes[to])
    local inbox = prefix .. 'in:' .. to
    local counter = call('HINCRBY', known, 'k', 1)
    if call('HINCRBY', known, 'ib', #body) > maxInbox then
      call('DEL', inbox)
      call('HSET', known, 'ib', #body)
    end
    call('XADD', inbox, n .. '-0', 'h', host, 'k', counter, 'f', body)
  end
end
return {'OK', n, wasWidened, isStale and 1 or 0, firstRecord, unpack(lostSessions)}
`);

/**
 * ARGV: prefix, host, generation, epoch, number seen, ms of lease, id up to which it has read its inbox, bytes that it has
 * read since, ms that keys outlive the application, id up to which it has read the journal, number of the last packet that
 * it knows of, how many entries of its inbox it has read.
 * @returns OK, how many entries its inbox has had, bytes that it has not read, number of the last packet if the journal has
 * none that it could still read up to there (otherwise 0)
 */
export const RENEW = script(`
local host = ARGV[2]
local problem = check(host, ARGV[3], ARGV[4], ARGV[5])
if problem then return {problem} end
-- Where Redis throws keys away, it may have been the one with all names.
if call('SADD', prefix .. 'hosts', host) == 1 then
  evict(host, 'silent')
  return {'FENCED'}
end
local own = prefix .. 'h:' .. host
renew(host, tonumber(ARGV[6]))
call('XTRIM', prefix .. 'in:' .. host, 'MINID', (tonumber(ARGV[7]) + 1) .. '-0')
local unread = call('HINCRBY', own, 'ib', 0 - tonumber(ARGV[8]))
local entries = tonumber(call('HGET', own, 'k') or 0)
-- Of what was read when a connection was lost, the bytes are not told any more.
if unread < 0 or entries == tonumber(ARGV[12]) then
  call('HSET', own, 'ib', 0)
  unread = 0
end
evictExpired(host)
for _, name in ipairs({'state', 'hosts', 'j', 'jc', 'c'}) do call('PEXPIRE', prefix .. name, ARGV[9]) end
for _, name in ipairs({'h:', 'in:', 'i:', 'ns:'}) do call('PEXPIRE', prefix .. name .. host, ARGV[9]) end
local last = tonumber(call('HGET', state, 'seq') or 0)
if last > tonumber(ARGV[11]) then
  local newest = call('XREVRANGE', prefix .. 'j', '+', '-', 'COUNT', 1)[1]
  if newest and tonumber(string.match(newest[1], '%d+')) > tonumber(ARGV[10]) then last = 0 end
else
  last = 0
end
return {'OK', entries, unread, last}
`);

/**
 * Says that a host is gone: this one, or one whose process is known to have ended.
 * ARGV: prefix, host, 'g' and its generation, or 'cid' and the name of its connection: if it has another one, it lives.
 * @returns OK
 */
export const GONE = script(`
if call('HGET', prefix .. 'h:' .. ARGV[2], ARGV[3]) ~= ARGV[4] then return {'OK'} end
evict(ARGV[2], 'ended')
-- Nobody else can be sure that no batch of it comes again.
if ARGV[3] == 'g' then call('DEL', prefix .. 'b:' .. ARGV[2]) end
return {'OK'}
`);

/**
 * Takes a session for this host. A host that is gone has released all of its sessions.
 * ARGV: prefix, host, generation, epoch, number seen, key, ms that the session lives.
 * @returns OK, 'taken', socket id, rooms, data (if it was told), number of the last packet; OK, 'held', host; OK, 'none'
 */
export const TAKE = script(`
local host, key = ARGV[2], ARGV[6]
local problem = check(host, ARGV[3], ARGV[4], ARGV[5])
if problem then return {problem} end
local session = call('HMGET', key, 'o', 'i', 'r', 'd', 'f')
local owner = session[1]
if not owner or not session[2] then return {'OK', 'none'} end
if owner ~= '' and owner ~= host then
  local lease = call('HGET', prefix .. 'h:' .. owner, 'lease')
  if lease and tonumber(lease) >= now then return {'OK', 'held', owner} end
end
call('HSET', key, 'o', host)
call('PEXPIRE', key, ARGV[7])
return {
  'OK', 'taken', session[2], session[3] or '', session[4] or false, tonumber(call('HGET', state, 'seq') or 0),
  session[5] or false
}
`);

/** All of them. */
export const SCRIPTS: readonly Script[] = [JOIN, BATCH, RENEW, GONE, TAKE];
