// Opens sessions with the deployed client, ic-websocket-js, all at the same time, and tells what it saw.
//
// Argument, JSON: url (of the gateway), icUrl, canister, clients: a list of
//   { send: texts, expect: how many messages to wait for, lingerMs: how long to stay after that, ackIntervalMs }.
// Output, JSON: for each client principal, opened, received (texts), errors, close ({ code, reason }) and ms, the time to the last message.

import { WebSocket } from "ws";

globalThis.WebSocket ??= WebSocket;
globalThis.ErrorEvent ??= class ErrorEvent extends Event {
  constructor(type, init) {
    super(type);
    this.error = init.error;
  }
};

const { Actor, HttpAgent } = await import("@dfinity/agent");
const { IDL } = await import("@dfinity/candid");
const { Ed25519KeyIdentity } = await import("@dfinity/identity");
const { IcWebSocket, createWsConfig } = await import("ic-websocket-js");

const input = JSON.parse(process.argv[2]);
const LIMIT_MS = 45_000;

// The part of a canister's interface that the client reads: the type of the application's messages.
const idlFactory = ({ IDL }) =>
  IDL.Service({ ws_message: IDL.Func([IDL.Record({}), IDL.Opt(IDL.Text)], [IDL.Null], []) });

async function run(wishes) {
  const identity = Ed25519KeyIdentity.generate();
  const agent = HttpAgent.createSync({ host: input.icUrl, identity });
  const canisterActor = Actor.createActor(idlFactory, { agent, canisterId: input.canister });
  const told = { principal: identity.getPrincipal().toText(), opened: false, received: [], errors: [], close: null, ms: 0 };
  const started = Date.now();
  const config = createWsConfig({
    canisterId: input.canister,
    canisterActor,
    identity,
    networkUrl: input.icUrl,
    ackMessageIntervalMs: wishes.ackIntervalMs,
  });
  const socket = new IcWebSocket(input.url, undefined, config);
  // It asks for the root key and does not wait for it: a local gateway's first message can be there sooner, and would fail.
  const { _wsInstance: transport, _httpAgent: http } = socket;
  const opened = transport.onopen;
  transport.onopen = (event) => http.fetchRootKey().then(() => opened(event));
  await new Promise((resolve) => {
    const limit = setTimeout(resolve, LIMIT_MS);
    const leaveLater = () => setTimeout(() => socket.close(), wishes.lingerMs ?? 0);
    socket.onopen = () => {
      told.opened = true;
      for (const text of wishes.send) socket.send(text);
      if (!wishes.expect) leaveLater();
    };
    socket.onmessage = (event) => {
      told.received.push(event.data);
      told.ms = Date.now() - started;
      if (told.received.length === wishes.expect) leaveLater();
    };
    socket.onerror = (event) => told.errors.push(String(event.error?.message ?? event));
    socket.onclose = (event) => {
      told.close = { code: event.code, reason: event.reason };
      clearTimeout(limit);
      resolve();
    };
  });
  return told;
}

console.log = () => {};
console.debug = console.info = console.log;
const told = await Promise.all(input.clients.map(run));
process.stdout.write(JSON.stringify(told) + "\n", () => process.exit(0));
