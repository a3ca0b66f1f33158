-- wrk's own figures as one line of JSON. Without a response function here, wrk runs no Lua for a request.
function done(summary, latency, requests)
    local errors = summary.errors
    io.write(string.format(
        '{"count":%d,"seconds":%.6f,"errors":%d,"p50_us":%d,"p99_us":%d}\n',
        summary.requests,
        summary.duration / 1e6,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout,
        latency:percentile(50),
        latency:percentile(99)
    ))
end
