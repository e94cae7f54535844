// The driver of ic-websocket-js for the target "client", and an example for authors of others. The protocol is in docs/conformance.md.
//
// Argument: the folder whose node_modules hold ic-websocket-js, @dfinity/agent, @dfinity/identity and ws.

import { createRequire } from "node:module";
import { resolve } from "node:path";
import { createInterface } from "node:readline";

const require = createRequire(resolve(process.argv[2] ?? ".") + "/");
const say = (document) => process.stdout.write(JSON.stringify(document) + "\n");

// What packages print must not get between the lines.
console.log = console.info = console.debug = (...words) => console.error(...words);

const { WebSocket } = require("ws");
globalThis.WebSocket ??= WebSocket;
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

let socket;

const commands = {
  hello: () => ({ name: "ic-websocket-js", profiles: ["omnia"], features: [] }),

  connect: async (asked) => {
    const identity = Ed25519KeyIdentity.generate();
    const agent = HttpAgent.createSync({ host: asked.ic_url, identity });
    const canisterActor = Actor.createActor(idlFactory, { agent, canisterId: asked.canister_id });
    const config = createWsConfig({ canisterId: asked.canister_id, canisterActor, identity, networkUrl: asked.ic_url });
    socket = new IcWebSocket(asked.gateways[0], undefined, config);
    // It asks for the root key and does not wait for it: a first message that is there sooner would fail.
    const { _wsInstance: transport, _httpAgent: http } = socket;
    const opened = transport.onopen;
    transport.onopen = (event) => http.fetchRootKey().then(() => opened(event));
    socket.onmessage = (event) => say({ event: "message", data_hex: Buffer.from(event.data).toString("hex") });
    socket.onerror = (event) => say({ event: "error", text: String(event.error?.message ?? event) });
    await new Promise((accept, reject) => {
      socket.onopen = accept;
      socket.onclose = (event) => {
        say({ event: "closed", code: event.code, reason: event.reason });
        reject(new Error(`closed before it was open: ${event.code}`));
      };
      setTimeout(() => reject(new Error("not open in time")), (asked.limit_s ?? 10) * 1000);
    });
    return { session: identity.getPrincipal().toText() };
  },

  send: (asked) => {
    socket.send(Uint8Array.from(Buffer.from(asked.data_hex, "hex")));
    return { outcome: "relayed" };
  },

  close: () => {
    socket?.close();
    return {};
  },
};

process.on("unhandledRejection", (error) => say({ event: "error", text: String(error?.message ?? error) }));

const lines = createInterface({ input: process.stdin });
lines.on("line", async (line) => {
  const asked = JSON.parse(line);
  try {
    if (!(asked.command in commands)) throw new Error(`unsupported: ${asked.command}`);
    say({ id: asked.id, ok: true, ...(await commands[asked.command](asked)) });
  } catch (error) {
    say({ id: asked.id, ok: false, error: { text: String(error?.message ?? error) } });
  }
});
lines.on("close", () => process.exit(0));
