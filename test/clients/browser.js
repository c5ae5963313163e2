// SPDX-License-Identifier: Apache-2.0
//
// usage: node browser.js URL HOME     (NODE_PATH names the folder with playwright-core)
//
// Chromium without a window, at that page. HOME has the certificates it trusts (.pki/nssdb). Each line of the
// input is an expression for the page; its value is a line of JSON in the output. Every name is 127.0.0.1.
"use strict";
const { chromium } = require("playwright-core");
const readline = require("readline");

async function main(url, home) {
	const context = await chromium.launchPersistentContext(home + "/profile", {
		executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
		headless: true,
		env: { ...process.env, HOME: home },
		args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--no-proxy-server",
			"--disable-background-networking", "--disable-component-update", "--disable-sync",
			"--disable-dev-shm-usage", "--host-resolver-rules=MAP * 127.0.0.1"],
	});
	const page = context.pages()[0] || await context.newPage();
	const say = (what) => process.stdout.write(JSON.stringify(what) + "\n");
	try {
		const answer = await page.goto(url);
		say({ status: answer.status(), security: await answer.securityDetails() });
		for await (const line of readline.createInterface({ input: process.stdin }))
			say(await page.evaluate(line).then((value) => ({ value }), (e) => ({ error: String(e) })));
	} catch (e) {
		say({ error: String(e) });
	}
	await context.close();
}

main(process.argv[2], process.argv[3]).catch((e) => {
	process.stdout.write(JSON.stringify({ error: String(e) }) + "\n");
	process.exit(1);
});
