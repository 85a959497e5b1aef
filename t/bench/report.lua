-- wrk: prints what t/bench/run reads; body and headers come from WRK_*, and
-- WRK_PATHS, if set, holds paths to take in turn.

local paths = {}
local turn = 0

function init(args)
   if os.getenv("WRK_TOKEN") then
      wrk.headers["Authorization"] = "Bearer " .. os.getenv("WRK_TOKEN")
   end
   if os.getenv("WRK_BODY") then
      wrk.method = "POST"
      wrk.body = os.getenv("WRK_BODY")
      wrk.headers["Content-Type"] = "application/json"
   end
   for path in string.gmatch(os.getenv("WRK_PATHS") or "", "%S+") do
      paths[#paths + 1] = path
   end
   if #paths > 0 then
      request = function()
         turn = turn % #paths + 1
         return wrk.format(nil, paths[turn])
      end
   end
end

function done(summary, latency, requests)
   local e = summary.errors
   io.write(string.format("RESULT %d %d %d %d %d\n", summary.requests,
      summary.duration, latency:percentile(50), latency:percentile(99),
      e.connect + e.read + e.write + e.status + e.timeout))
end
