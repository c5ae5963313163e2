-- SPDX-License-Identifier: Apache-2.0
-- What wrk asks for besides a plain GET.
-- usage: wrk -s requests.lua URL -- post OCTETS         a body of that many
--        wrk -s requests.lua URL -- routes N OF SIZE    N of so many paths in turn, each far from the one before;
--                                                       configs.py has the paths
local made, at = {}, 0
local STEP = 61803 -- prime to every N here: each path comes before one comes again

function init(args)
	if args[1] == "post" then
		wrk.method, wrk.body = "POST", string.rep("x", tonumber(args[2]))
		wrk.headers["Content-Type"] = "application/octet-stream"
	elseif args[1] == "routes" then
		local apart = math.floor(tonumber(args[3]) / tonumber(args[2]))
		for i = 0, tonumber(args[2]) - 1 do
			made[i] = wrk.format("GET", string.format("/api/v1/item%d/%s", i * apart, args[4]))
		end
		at = #made
		request = function()
			at = (at + STEP) % (#made + 1)
			return made[at]
		end
	end
end
