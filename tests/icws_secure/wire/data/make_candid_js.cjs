// Writes candid_js.json: encodings by @dfinity/candid and by ic-websocket-js, for test_candid_peers.py.
//
//   npm install ic-websocket-js@0.5.0 @dfinity/agent@2.4.1 @dfinity/candid@2.4.1 @dfinity/principal@2.4.1
//   NODE_PATH=node_modules node make_candid_js.cjs > candid_js.json
//
// A type is "nat64", ["vec", T], ["opt", T], ["record", [[label, T]...]] or ["variant", [[label, T]...]]. A value is a
// JSON value; numbers are decimal strings, blobs {"hex"}, variants {"case", "value"}, principals text.
"use strict";
const { IDL } = require("@dfinity/candid");
const { Principal } = require("@dfinity/principal");
const { join } = require("path");

const sdk = require(join(require.resolve("ic-websocket-js"), "..", "idl.js"));
const hex = (bytes) => Buffer.from(bytes).toString("hex");

let state = 20240607n; // a small generator, so that the file is the same each time
const below = (bound) => {
  state = (state * 6364136223846793005n + 1442695040888963407n) & ((1n << 64n) - 1n);
  return Number((state >> 33n) % BigInt(bound));
};
const pick = (list) => list[below(list.length)];

const BITS = { nat8: 8, nat16: 16, nat32: 32, nat64: 64, int8: 8, int16: 16, int32: 32, int64: 64 };
const PRIMITIVES = ["null", "bool", "nat", "int", "text", "principal", "float32", "float64", "reserved", ...Object.keys(BITS)];
const IDL_OF = {
  null: IDL.Null, bool: IDL.Bool, nat: IDL.Nat, int: IDL.Int, text: IDL.Text, principal: IDL.Principal, float32: IDL.Float32,
  float64: IDL.Float64, reserved: IDL.Reserved, nat8: IDL.Nat8, nat16: IDL.Nat16, nat32: IDL.Nat32, nat64: IDL.Nat64,
  int8: IDL.Int8, int16: IDL.Int16, int32: IDL.Int32, int64: IDL.Int64,
};

const idlOf = (type) => {
  if (typeof type === "string") return IDL_OF[type];
  const [kind, inner] = type;
  if (kind === "vec") return IDL.Vec(idlOf(inner));
  if (kind === "opt") return IDL.Opt(idlOf(inner));
  const fields = Object.fromEntries(inner.map(([label, part]) => [label, idlOf(part)]));
  return kind === "record" ? IDL.Record(fields) : IDL.Variant(fields);
};

const randomType = (depth) => {
  const kind = depth > 0 ? below(9) : 0;
  if (kind < 3) return pick(PRIMITIVES);
  if (kind === 3) return ["vec", randomType(depth - 1)];
  if (kind === 4) return ["vec", "nat8"];
  if (kind === 5) {
    let inner = randomType(depth - 1);
    while (inner === "null" || inner === "reserved" || inner[0] === "opt") inner = randomType(depth - 1);
    return ["opt", inner];
  }
  const labels = ["a", "b", "status", "client_key", "Ok", "Err", "ключ", "_7_", "sequence_num", ""];
  const used = labels.filter(() => below(3) === 0);
  if (kind < 8) return ["record", used.map((label) => [label, randomType(depth - 1)])];
  return ["variant", (used.length ? used : ["Ok"]).map((label) => [label, randomType(depth - 1)])];
};

const bigBelow = (bits) => {
  let value = 0n;
  for (let i = 0; i < bits; i += 16) value = (value << 16n) | BigInt(below(1 << 16));
  value &= (1n << BigInt(bits)) - 1n;
  return below(2) ? value : value >> BigInt(below(bits));
};

// A value as [for JSON, for the library].
const randomValue = (type) => {
  if (typeof type === "string") {
    if (type === "null" || type === "reserved") return [null, null];
    if (type === "bool") return below(2) ? [true, true] : [false, false];
    if (type === "text") { const text = pick(["", "a", "Grüße ☃", "x".repeat(200), "\u0000"]); return [text, text]; }
    if (type === "principal") {
      const principal = Principal.fromUint8Array(Uint8Array.from({ length: pick([0, 1, 10, 29]) }, () => below(256)));
      return [principal.toText(), principal];
    }
    if (type.startsWith("float")) { const value = pick([0, 1.5, -2.25, 1024]); return [value, value]; }
    let value = type === "nat" || type === "int" ? bigBelow(pick([8, 64, 128])) : bigBelow(BITS[type]);
    if (type === "int" && below(2)) value = -value;
    if (type in BITS && type.startsWith("int")) value = BigInt.asIntN(BITS[type], value);
    return [value.toString(), BITS[type] && BITS[type] < 64 ? Number(value) : value];
  }
  const [kind, inner] = type;
  if (kind === "vec" && inner === "nat8") {
    const bytes = Uint8Array.from({ length: pick([0, 1, 3, 130]) }, () => below(256));
    return [{ hex: hex(bytes) }, bytes];
  }
  if (kind === "vec") {
    const items = Array.from({ length: below(4) }, () => randomValue(inner));
    return [items.map((item) => item[0]), items.map((item) => item[1])];
  }
  if (kind === "opt") {
    if (below(2)) return [null, []];
    const item = randomValue(inner);
    return [item[0], [item[1]]];
  }
  if (kind === "record") {
    const items = inner.map(([label, part]) => [label, randomValue(part)]);
    return [Object.fromEntries(items.map(([l, v]) => [l, v[0]])), Object.fromEntries(items.map(([l, v]) => [l, v[1]]))];
  }
  const [label, part] = pick(inner);
  const item = randomValue(part);
  return [{ case: label, value: item[0] }, { [label]: item[1] }];
};

const general = [];
for (let n = 0; n < 100; n++) {
  const types = Array.from({ length: below(3) + 1 }, () => randomType(3));
  const values = types.map(randomValue);
  const bytes = IDL.encode(types.map(idlOf), values.map((value) => value[1]));
  general.push({ name: `random ${n}`, types, values: values.map((value) => value[0]), hex: hex(bytes) });
}

// The calls and service messages of the deployed client, by its own type objects.
const client = Principal.selfAuthenticating(Uint8Array.from([1, 2, 3]));
const gateway = Principal.selfAuthenticating(Uint8Array.from([4, 5, 6]));
const clientKey = { client_principal: client, client_nonce: 13252622244123961547n };
const message = {
  sequence_num: 7n, content: Uint8Array.from([1, 2, 255]), client_key: clientKey, timestamp: 1700000000123456789n, is_service_message: false,
};
const service = (value) => hex(sdk.encodeWebsocketServiceMessageContent(value));
const deployed = {
  client_principal: client.toText(),
  gateway_principal: gateway.toText(),
  client_nonce: clientKey.client_nonce.toString(),
  open: hex(IDL.encode(sdk.wsOpenIdl.argTypes, [{ client_nonce: clientKey.client_nonce, gateway_principal: gateway }])),
  message: hex(IDL.encode(sdk.wsMessageIdl.argTypes, [{ msg: message }, []])),
  result_ok: hex(IDL.encode([sdk.CanisterWsMessageResultIdl], [{ Ok: null }])),
  result_err: hex(IDL.encode([sdk.CanisterWsMessageResultIdl], [{ Err: "client is not open" }])),
  service_open: service({ OpenMessage: { client_key: clientKey } }),
  service_ack: service({ AckMessage: { last_incoming_sequence_num: 3n } }),
  service_keep_alive: service({ KeepAliveMessage: { last_incoming_sequence_num: 4n } }),
  service_close: service({ CloseMessage: { reason: { KeepAliveTimeout: null } } }),
};

const head = JSON.stringify({ source: "@dfinity/candid 2.4.1, ic-websocket-js 0.5.0", deployed }, null, 1).slice(0, -2);
console.log(`${head},\n "general": [\n${general.map((vector) => JSON.stringify(vector)).join(",\n")}\n]}`);
