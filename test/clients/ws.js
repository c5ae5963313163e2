// SPDX-License-Identifier: Apache-2.0
//
// usage: node ws.js CA NAME URL...     (NODE_PATH names the folder with ws)
//
// One WebSocket for each URL, verified by the certificates of the file CA for the host NAME. Each line of the
// input is JSON, [which, "send", text], [which, "close", code] or ["state"]; messages and ends are lines of JSON.
"use strict";
const fs = require("fs");
const readline = require("readline");
const WebSocket = require("ws");

const [ca, name, ...urls] = process.argv.slice(2);
const say = (what) => process.stdout.write(JSON.stringify(what) + "\n");
const all = urls.map((url, which) => {
	const ws = new WebSocket(url, { ca: fs.readFileSync(ca), servername: name, headers: { Host: name } });
	ws.on("open", () => say({ which, open: ws._socket.getProtocol(), extensions: ws.extensions }));
	ws.on("message", (data, binary) => say({ which, message: binary ? data.toString("base64") : data.toString() }));
	ws.on("close", (code) => say({ which, close: code }));
	ws.on("error", (e) => say({ which, error: String(e) }));
	return ws;
});
readline.createInterface({ input: process.stdin }).on("line", (line) => {
	const [which, verb, what] = JSON.parse(line);
	if (which === "state")
		say({ state: all.map((ws) => ws.readyState) });
	else if (verb === "send")
		all[which].send(what);
	else
		all[which].close(what);
}).on("close", () => process.exit(0));
