-- A browser's request as a proxy passes it on, with the session in $COOKIE; or, with $REQUESTS, one after another of
-- the paths and cookies in that file. $CLOSE=1: a new connection for each. $DELAY: milliseconds before each.
local function carry(cookie)
    wrk.headers["Cookie"] = "theme=dark; " .. cookie .. "; lang=en"
end

for line in io.lines("tests/speed/headers.txt") do
    local name, value = line:match("^([^:]+): (.*)$")
    wrk.headers[name] = value
end
wrk.headers["Host"] = os.getenv("HOST_ASKED")
wrk.headers["Sec-Fetch-Mode"] = os.getenv("FETCH_MODE") or "navigate"
carry(os.getenv("COOKIE") or "")
if os.getenv("CLOSE") == "1" then wrk.headers["Connection"] = "close" end

local pause = tonumber(os.getenv("DELAY") or "0")
if pause > 0 then
    function delay() return pause end
end

local file = os.getenv("REQUESTS")
if file then
    local requests, last = {}, 0
    function init()
        for line in io.lines(file) do
            local path, cookie = line:match("^(%S+) (%S+)$")
            carry(cookie)
            requests[#requests + 1] = wrk.format("GET", path)
        end
    end
    function request()
        last = last % #requests + 1
        return requests[last]
    end
end

-- One line that a script can read: requests, seconds, microseconds of latency, failures, and how many of these were
-- only answers of 400 and above.
function done(summary, latency, _)
    local errors = summary.errors
    io.write(string.format("result %d %.3f %d %d %d %d %d\n", summary.requests, summary.duration / 1e6,
        latency:percentile(50), latency:percentile(99), latency:percentile(99.9),
        errors.status + errors.connect + errors.read + errors.timeout, errors.status))
end
