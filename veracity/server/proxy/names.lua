-- Which models may be named. Every request of Triton's protocol that names one has the name in its field 1, and a body is
-- a row of messages: one byte (0: not compressed), four bytes of length, the message. The bytes pass while they are read,
-- so a request that names another model is spoilt: from there on it is zeros, which no message may contain, and Triton's
-- error for that is replaced by ours.
-- Before this stand the tables OPEN (nil: every name is open), LIMITS and STATUS, and the header TRACE.

local DENIED = "BadOption: no model of that name is open to callers"

local function reader()
  local skip, pending, left = 0, "", nil  -- left: bytes of the message under way, nil between two
  local fields, named = 0, false

  -- Returns the value of the varint at `at` and the position behind it; nil where `bytes` ends before, false for none.
  local function varint(bytes, at)
    local value, factor = 0, 1
    for i = at, at + 9 do
      local byte = bytes:byte(i)
      if byte == nil then return nil end
      value = value + (byte % 128) * factor
      if byte < 128 then return value, i + 1 end
      factor = factor * 128
    end
    return false
  end

  -- Takes one step at the start of `bytes`. Returns how many bytes were read and how many may be skipped unread; nil for
  -- more bytes, false for what is not allowed.
  local function step(bytes)
    if left == nil then
      if #bytes < 5 then return nil end
      local flag, a, b, c, d = bytes:byte(1, 5)
      if flag ~= 0 then return false end
      left, fields, named = ((a * 256 + b) * 256 + c) * 256 + d, 0, false
      return 5, 0
    end
    local tag, at = varint(bytes, 1)
    if not tag then return tag end
    fields = fields + 1
    if fields > LIMITS.fields then return false end
    local kind, field = tag % 8, math.floor(tag / 8)
    local size = 0
    if kind == 0 then
      size, at = varint(bytes, at)
      if not size then return size end
      size = 0
    elseif kind == 1 then size = 8
    elseif kind == 5 then size = 4
    elseif kind == 2 then
      size, at = varint(bytes, at)
      if not size then return size end
    else return false end
    if field == 1 then
      if kind ~= 2 or size > LIMITS.name then return false end
      if #bytes < at - 1 + size then return nil end
      if named or not OPEN[bytes:sub(at, at - 1 + size)] then return false end
      named, at, size = true, at + size, 0
    end
    if at - 1 + size > left then return false end
    left = left - (at - 1 + size)
    return at - 1, size
  end

  -- Reads the next piece of the body; returns whether it may pass.
  return function(chunk)
    local at, length = 0, chunk:length()
    while true do
      local passed = math.min(skip, length - at)
      skip, at = skip - passed, at + passed
      if skip > 0 then return true end
      while left == 0 do
        if not named then return false end
        left = nil
      end
      local window = math.min(LIMITS.name + 32, length - at)
      local bytes = pending .. (window > 0 and chunk:getBytes(at, window) or "")
      if bytes == "" then return true end
      local read, more = step(bytes)
      if read == false then return false end
      if read == nil then
        pending, at = bytes, at + window
        if at == length then return true end
        if #pending > LIMITS.name + 64 then return false end
      else
        at, pending, skip = at + read - #pending, "", more
        if at < 0 then return false end
      end
      if left == 0 and skip == 0 and not named then return false end
    end
  end
end

-- A caller's trace is for our models alone: tritonserver 2.51 reads a gRPC header on to the next zero byte, wherever that
-- is, and so loses one trace in eight; where it traces a stream it ends with SIGSEGV.
local function hide_trace(headers)
  local trace = headers:get("traceparent")
  headers:remove("traceparent")
  headers:remove(TRACE)
  if trace then headers:add(TRACE, trace) end
end

function envoy_on_request(handle)
  hide_trace(handle:headers())
  if OPEN == nil then return end
  local allowed, spoilt = reader(), false
  for chunk in handle:bodyChunks() do
    if not spoilt and not allowed(chunk) then
      spoilt = true
      handle:streamInfo():dynamicMetadata():set("veracity", "denied", true)
    end
    if spoilt then chunk:setBytes(string.rep("\0", chunk:length())) end
  end
end

function envoy_on_response(handle)
  local denied = (handle:streamInfo():dynamicMetadata():get("veracity") or {})["denied"]
  local headers = handle:headers()
  local function correct(found)
    if found == nil or found:get("grpc-status") == nil then return end
    if denied then
      found:replace("grpc-status", "3")
      found:replace("grpc-message", DENIED)
    else
      local status = STATUS[string.match(found:get("grpc-message") or "", "^(%a+):")]
      if status and found:get("grpc-status") ~= "0" then found:replace("grpc-status", status) end
    end
  end
  correct(headers)
  if headers:get("grpc-status") == nil then correct(handle:trailers()) end
end
