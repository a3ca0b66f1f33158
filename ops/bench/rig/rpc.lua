-- A unary call in gRPC-Web: HealthCheckRequest { service: "bench" } in its frame.
dofile(debug.getinfo(1, "S").source:match("^@(.*/)") .. "report.lua")
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/grpc-web+proto"
wrk.body = "\0\0\0\0\7\10\5bench"
