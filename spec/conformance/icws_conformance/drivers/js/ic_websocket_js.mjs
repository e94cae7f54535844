// The driver of ic-websocket-js for "icws conformance client", and a worked example for authors of other drivers.
//
//   icws conformance client --start "node ic_websocket_js.mjs FOLDER"
//
// FOLDER/node_modules holds ic-websocket-js, @dfinity/agent, @dfinity/identity and ws. The protocol is in
// docs/conformance.md. In short: the suite writes commands on standard input, one JSON document a line; the driver
// answers on standard output, and tells there, unasked, what happens to the session. Standard output is for that alone.
//
// To write a driver for another client, replace parts 2 and 3.

import { createRequire } from "node:module";
import { resolve } from "node:path";
import { createInterface } from "node:readline";

// ---- 1. Lines in, lines out: the same for every client --------------------------------------------------------------

const say = (document) => process.stdout.write(JSON.stringify(document) + "\n");
const tell = (event, fields) => say({ event, ...fields });
const toHex = (bytes) => Buffer.from(bytes).toString("hex");
const fromHex = (text) => Uint8Array.from(Buffer.from(text, "hex"));
const wordsOf = (error) => String(error?.message ?? error);

// What packages print must not get between the lines; standard error is kept for the report.
console.log = console.info = console.debug = (...words) => console.error(...words);

// ---- 2. The client under test ---------------------------------------------------------------------------------------

const require = createRequire(resolve(process.argv[2] ?? ".") + "/");

// The package is made for browsers; Node lacks two of their globals.
globalThis.WebSocket ??= require("ws").WebSocket;
globalThis.ErrorEvent ??= class ErrorEvent extends Event {
  constructor(type, init) {
    super(type);
    this.error = init.error;
  }
};
const { Actor, HttpAgent } = require("@dfinity/agent");
const { Ed25519KeyIdentity } = require("@dfinity/identity");
const { IcWebSocket, createWsConfig } = require("ic-websocket-js");

// The part of a canister's interface that the client reads: the type of the application's messages, here any bytes.
const idlFactory = ({ IDL }) =>
  IDL.Service({ ws_message: IDL.Func([IDL.Record({}), IDL.Opt(IDL.Vec(IDL.Nat8))], [IDL.Null], []) });

// It closes 30 s after an acknowledgement was due for something that it sent.
const ACK_GRACE_S = 30;

function makeSocket(asked, identity) {
  const agent = HttpAgent.createSync({ host: asked.ic_url, identity });
  const config = createWsConfig({
    canisterId: asked.canister_id,
    canisterActor: Actor.createActor(idlFactory, { agent, canisterId: asked.canister_id }),
    identity,
    networkUrl: asked.ic_url,
    // undefined where the suite does not ask: the package's default
    ackMessageIntervalMs: asked.ack_interval_s && asked.ack_interval_s * 1000,
  });
  // asked.root_key_hex is of no use here: the package has no setting for it, and asks the network.
  const made = new IcWebSocket(asked.gateways[0], undefined, config);
  waitForRootKey(made);
  return made;
}

// It asks for the root key and does not wait for the answer: a first message that is there sooner would fail, now and
// then. That is a fault too, but no case would come out the same twice.
function waitForRootKey(made) {
  const { _wsInstance: transport, _httpAgent: agent } = made;
  const opened = transport.onopen;
  transport.onopen = (event) => agent.fetchRootKey().then(() => opened(event));
}

// ---- 3. The commands ------------------------------------------------------------------------------------------------

let socket; // one session at a time: the suite starts another driver where it needs two

const commands = {
  // Say only what is so: a case about anything else is then "not applicable", and not failed.
  hello: () => ({
    name: "ic-websocket-js",
    profiles: ["omnia"],
    features: ["ack-interval"],
    ack_grace_s: ACK_GRACE_S,
  }),

  // Answer when the session is open; the principal tells the suite whose messages the canister will hear.
  connect: async (asked) => {
    const identity = Ed25519KeyIdentity.generate();
    socket = makeSocket(asked, identity);
    socket.onmessage = (event) => tell("message", { data_hex: toHex(event.data) });
    socket.onerror = (event) => tell("error", { text: wordsOf(event.error ?? event) });
    await new Promise((accept, reject) => {
      socket.onopen = accept;
      socket.onclose = ({ code, reason }) => {
        tell("closed", { code, reason });
        reject(new Error(`closed before it was open: ${code}`)); // without effect once it is open
      };
      setTimeout(() => reject(new Error("not open in time")), (asked.limit_s ?? 10) * 1000);
    });
    return { session: identity.getPrincipal().toText() };
  },

  // The package does not tell what became of a message, so "relayed" is all that can be said.
  send: (asked) => {
    socket.send(fromHex(asked.data_hex));
    return { outcome: "relayed" };
  },

  close: () => {
    socket?.close();
    return {};
  },
};

// ---- 4. The loop: the same for every client -------------------------------------------------------------------------

async function answer(line) {
  const { id, command, ...asked } = JSON.parse(line);
  try {
    if (!Object.hasOwn(commands, command)) throw new Error(`unsupported: ${command}`);
    say({ id, ok: true, ...(await commands[command](asked)) });
  } catch (error) {
    say({ id, ok: false, error: { text: wordsOf(error) } });
  }
}

// Whatever the package throws in its callbacks is worth a line in the report, and must not end the driver.
process.on("unhandledRejection", (error) => tell("error", { text: wordsOf(error) }));

const lines = createInterface({ input: process.stdin });
lines.on("line", answer); // commands may overlap: none waits for the one before
lines.on("close", () => process.exit(0)); // the suite is done
