// Reads principals, Candid values and a certificate made elsewhere, and makes its own of each.
//
// Argument, JSON: principals (hexadecimal), candid: { name: hexadecimal }, certificate, rootKey, canister.
// Output, JSON: for each of them what was read, and under `own` what was made, with what it means.

const { Cbor, Certificate } = await import("@dfinity/agent");
const { IDL } = await import("@dfinity/candid");
const { Principal } = await import("@dfinity/principal");

const input = JSON.parse(process.argv[2]);
const hex = (bytes) => Buffer.from(bytes).toString("hex");
const unhex = (text) => Uint8Array.from(Buffer.from(text, "hex"));

// The interface as deployed canisters and clients have it; it knows nothing of what icws-secure/1 adds.
const ClientKey = IDL.Record({ client_principal: IDL.Principal, client_nonce: IDL.Nat64 });
const WebsocketMessage = IDL.Record({
  client_key: ClientKey,
  sequence_num: IDL.Nat64,
  timestamp: IDL.Nat64,
  is_service_message: IDL.Bool,
  content: IDL.Vec(IDL.Nat8),
});
const Result = IDL.Variant({ Ok: IDL.Null, Err: IDL.Text });
const OutputMessage = IDL.Record({ client_key: ClientKey, key: IDL.Text, content: IDL.Vec(IDL.Nat8) });
const Messages = IDL.Record({
  messages: IDL.Vec(OutputMessage),
  cert: IDL.Vec(IDL.Nat8),
  tree: IDL.Vec(IDL.Nat8),
  is_end_of_queue: IDL.Bool,
});
const Acknowledged = IDL.Record({ last_incoming_sequence_num: IDL.Nat64 });
const Service = IDL.Variant({
  OpenMessage: IDL.Record({ client_key: ClientKey }),
  AckMessage: Acknowledged,
  KeepAliveMessage: Acknowledged,
  CloseMessage: IDL.Record({
    reason: IDL.Variant({
      WrongSequenceNumber: IDL.Null,
      InvalidServiceMessage: IDL.Null,
      KeepAliveTimeout: IDL.Null,
      ClosedByApplication: IDL.Null,
    }),
  }),
});
const types = {
  open: [IDL.Record({ client_nonce: IDL.Nat64, gateway_principal: IDL.Principal })],
  close: [IDL.Record({ client_key: ClientKey })],
  message: [IDL.Record({ msg: WebsocketMessage }), IDL.Opt(IDL.Null)],
  result: [Result],
  poll: [IDL.Record({ nonce: IDL.Nat64 })],
  messages: [IDL.Variant({ Ok: Messages, Err: IDL.Text })],
  service: [Service],
};

// Values as JSON: what JSON lacks becomes text.
const plain = (value) => {
  if (typeof value === "bigint") return Number(value);
  if (value instanceof Uint8Array) return hex(value);
  if (value?._isPrincipal) return value.toText();
  if (Array.isArray(value)) return value.length && typeof value[0] === "number" ? hex(value) : value.map(plain);
  if (value && typeof value === "object")
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, plain(inner)]));
  return value ?? null;
};

const read = Object.fromEntries(
  Object.entries(input.candid).map(([name, data]) => [name, plain(IDL.decode(types[name.split(" ")[0]], unhex(data))[0])]),
);

const principal = Principal.selfAuthenticating(unhex("01020304"));
const client_key = { client_principal: principal, client_nonce: 2n ** 64n - 1n };
const msg = { client_key, sequence_num: 7n, timestamp: 8n, is_service_message: false, content: [0, 255] };
const messages = {
  messages: [{ client_key, key: "k", content: [1] }],
  cert: [2],
  tree: [],
  is_end_of_queue: false,
};
const made = {
  open: [{ client_nonce: client_key.client_nonce, gateway_principal: principal }],
  close: [{ client_key }],
  message: [{ msg }, []],
  result: [{ Err: "äß€" }],
  poll: [{ nonce: 50n }],
  messages: [{ Ok: messages }],
  "service open": [{ OpenMessage: { client_key } }],
  "service ack": [{ AckMessage: { last_incoming_sequence_num: 3n } }],
  "service keep-alive": [{ KeepAliveMessage: { last_incoming_sequence_num: 4n } }],
  "service close": [{ CloseMessage: { reason: { KeepAliveTimeout: null } } }],
};

const certificate = await Certificate.create({
  certificate: unhex(input.certificate),
  rootKey: unhex(input.rootKey),
  canisterId: Principal.fromText(input.canister),
});
const data = certificate.lookup(["canister", Principal.fromText(input.canister).toUint8Array(), "certified_data"]);

const output = {
  principals: input.principals.map((raw) => Principal.fromUint8Array(unhex(raw)).toText()),
  candid: read,
  certifiedData: hex(data.value),
  own: {
    principal: { raw: hex(principal.toUint8Array()), text: principal.toText() },
    candid: Object.fromEntries(
      Object.entries(made).map(([name, values]) => [name, hex(IDL.encode(types[name.split(" ")[0]], values))]),
    ),
    // the certificate again, from the values it was read into, by this side's encoder
    certificate: hex(Cbor.encode(Cbor.decode(unhex(input.certificate)))),
  },
};
process.stdout.write(JSON.stringify(output) + "\n");
