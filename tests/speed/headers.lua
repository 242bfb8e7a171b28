-- A browser's request as a proxy passes it on, with the session in $COOKIE.
local cookie = os.getenv("COOKIE")
wrk.headers["Host"] = os.getenv("HOST_ASKED")
wrk.headers["Cookie"] = "theme=dark; " .. cookie .. "; lang=en"
wrk.headers["X-Request-ID"] = "b5bf0c8ab2ea0a2f3d9b4f6b7f8e1c55"
wrk.headers["X-Original-URL"] = "https://s1.example/a/b?x=1"
wrk.headers["X-Original-Method"] = "GET"
wrk.headers["X-Sent-From"] = "nginx-ingress-controller"
wrk.headers["X-Real-IP"] = "192.0.2.10"
wrk.headers["X-Forwarded-For"] = "192.0.2.10"
wrk.headers["X-Auth-Request-Redirect"] = "/a/b?x=1"
wrk.headers["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
wrk.headers["Accept"] = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
wrk.headers["Accept-Language"] = "en-US,en;q=0.9,de;q=0.8"
wrk.headers["Accept-Encoding"] = "gzip, deflate, br, zstd"
wrk.headers["Sec-Fetch-Dest"] = "document"
wrk.headers["Sec-Fetch-Mode"] = "navigate"
wrk.headers["Sec-Fetch-Site"] = "none"
wrk.headers["Upgrade-Insecure-Requests"] = "1"
if os.getenv("CLOSE") == "1" then wrk.headers["Connection"] = "close" end

-- One line that a script can read: requests, seconds, and microseconds of latency.
function done(summary, latency, _)
    io.write(string.format("result %d %.3f %d %d %d %d\n", summary.requests, summary.duration / 1e6,
        latency:percentile(50), latency:percentile(99), latency:percentile(99.9),
        summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout))
end
