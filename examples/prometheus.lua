-- The numbers of INFO tallybook for Prometheus, as `redis_script_values{key="tallybook_.."}`:
--
--     prometheus-redis-exporter --redis.addr redis://localhost:6379 --script prometheus.lua
local numbers = {}
for name, value in redis.call("INFO", "tallybook"):gmatch("(tallybook_[%w_]+):(%d+)") do
    numbers[#numbers + 1] = name
    numbers[#numbers + 1] = value
end
return numbers
