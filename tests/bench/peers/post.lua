-- wrk: POST of 200 bytes of JSON.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"text":"' .. string.rep("x", 150) .. '","amount":1000,"network":"MTN"}'
