-- wrk: prints what t/bench/run reads; body and headers come from WRK_*.

function init(args)
   if os.getenv("WRK_TOKEN") then
      wrk.headers["Authorization"] = "Bearer " .. os.getenv("WRK_TOKEN")
   end
   if os.getenv("WRK_BODY") then
      wrk.method = "POST"
      wrk.body = os.getenv("WRK_BODY")
      wrk.headers["Content-Type"] = "application/json"
   end
end

function done(summary, latency, requests)
   local e = summary.errors
   io.write(string.format("RESULT %d %d %d %d %d\n", summary.requests,
      summary.duration, latency:percentile(50), latency:percentile(99),
      e.connect + e.read + e.write + e.status + e.timeout))
end
