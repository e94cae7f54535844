// Verifies the messages of a poll with the code of ic-websocket-js, and tells CPU time a message and how many passed.
//
// Arguments: the folder with node_modules, and a JSON file with rootKey, canister, certificate, tree, messages.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const [packages, file] = process.argv.slice(2);
const require = createRequire(join(packages, "package.json"));
console.log = console.debug = console.info = console.warn = () => {};
const { isMessageBodyValid } = require(join(packages, "node_modules/ic-websocket-js/lib/cjs/utils.js"));
const { Principal } = require("@dfinity/principal");

const poll = JSON.parse(readFileSync(file, "utf8"));
const bytes = (hex) => new Uint8Array(Buffer.from(hex, "hex")).buffer;
const agent = { rootKey: bytes(poll.rootKey) };
const canister = Principal.fromText(poll.canister);

const accepts = ({ key, content }) =>
  isMessageBodyValid(canister, key, new Uint8Array(bytes(content)), bytes(poll.certificate), bytes(poll.tree), agent);

await accepts(poll.messages[0]); // compiled
const before = process.cpuUsage();
let accepted = 0;
for (const message of poll.messages) accepted += (await accepts(message)) ? 1 : 0;
const used = process.cpuUsage(before);
process.stdout.write(JSON.stringify({ accepted, us: (used.user + used.system) / poll.messages.length }) + "\n");
