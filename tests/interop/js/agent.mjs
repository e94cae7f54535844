// Talks to a replica with a foreign agent, in the way applications do.
//
// Argument, JSON: generation ("dfinity-agent-2" or "icp-sdk-core-6"), url, rootKey (hexadecimal DER), canister, stranger (ids).
// Output, JSON: what each step gave. Nothing is caught but what a step expects to fail.

const generations = {
  "dfinity-agent-2": async () => ({
    ...(await import("@dfinity/agent")),
    ...(await import("@dfinity/identity")),
    ...(await import("@dfinity/identity-secp256k1")),
    IDL: (await import("@dfinity/candid")).IDL,
    Principal: (await import("@dfinity/principal")).Principal,
    about: (canisterId) => ({ canisterId }),
  }),
  "icp-sdk-core-6": async () => ({
    ...(await import("@icp-sdk/core/agent")),
    ...(await import("@icp-sdk/core/identity")),
    ...(await import("@icp-sdk/core/identity/secp256k1")),
    IDL: (await import("@icp-sdk/core/candid")).IDL,
    Principal: (await import("@icp-sdk/core/principal")).Principal,
    about: (canisterId) => ({ principal: { canisterId } }),
  }),
};

const input = JSON.parse(process.argv[2]);
const sdk = await generations[input.generation]();
const { Actor, CanisterStatus, Certificate, HttpAgent, IDL, Principal } = sdk;
const hex = (bytes) => Buffer.from(bytes).toString("hex");
const rootKey = Uint8Array.from(Buffer.from(input.rootKey, "hex"));
const canisterId = Principal.fromText(input.canister);

const service = () =>
  IDL.Service({
    greet: IDL.Func([IDL.Text], [IDL.Text], []),
    delayed: IDL.Func([IDL.Text], [IDL.Text], []),
    trap: IDL.Func([IDL.Text], [IDL.Text], []),
    refuse: IDL.Func([IDL.Text], [IDL.Text], []),
    whoami: IDL.Func([], [IDL.Principal], ["query"]),
    refuse_query: IDL.Func([IDL.Text], [IDL.Text], ["query"]),
    certified: IDL.Func([], [IDL.Vec(IDL.Nat8), IDL.Vec(IDL.Nat8)], ["query"]),
  });

// The key is pinned, as an application on the main network has it: a certificate of another one must not pass.
const agentOf = (identity) => HttpAgent.createSync({ host: input.url, identity, rootKey, verifyQuerySignatures: true });
const actorOf = (identity) => Actor.createActor(service, { agent: agentOf(identity), canisterId });
const failure = async (promise) => {
  try {
    await promise;
    return null;
  } catch (error) {
    return String(error.message ?? error);
  }
};

async function delegated() {
  const owner = sdk.Ed25519KeyIdentity.generate();
  const middle = sdk.Ed25519KeyIdentity.generate();
  const session = sdk.Ed25519KeyIdentity.generate();
  const until = new Date(Date.now() + 3600_000);
  const first = await sdk.DelegationChain.create(owner, middle.getPublicKey(), until, { targets: [canisterId] });
  const chain = await sdk.DelegationChain.create(middle, session.getPublicKey(), until, { previous: first });
  return sdk.DelegationIdentity.fromDelegation(session, chain);
}

const identities = {
  anonymous: new sdk.AnonymousIdentity(),
  ed25519: sdk.Ed25519KeyIdentity.generate(),
  secp256k1: sdk.Secp256k1KeyIdentity.generate(),
  delegated: await delegated(),
};

const output = { callers: {} };
for (const [name, identity] of Object.entries(identities)) {
  const actor = actorOf(identity);
  output.callers[name] = {
    principal: identity.getPrincipal().toText(),
    greet: await actor.greet(name),
    whoami: (await actor.whoami()).toText(),
  };
}

const actor = actorOf(identities.ed25519);
output.delayed = await actor.delayed("x");
output.trap = await failure(actor.trap("too bad"));
output.refuse = await failure(actor.refuse("not today"));
output.refuseQuery = await failure(actor.refuse_query("nor now"));

const agent = agentOf(identities.ed25519);
const status = await CanisterStatus.request({
  agent,
  canisterId,
  paths: ["time", "controllers", "module_hash", "subnet", "candid"],
});
output.status = {
  time: status.get("time").getTime(),
  controllers: status.get("controllers").map((controller) => controller.toText()),
  moduleHash: status.get("module_hash"),
  candid: status.get("candid"),
  subnetNodes: status.get("subnet").nodeKeys.size,
};

const [data, blob] = await actor.certified();
const certificate = (about) => Certificate.create({ certificate: Uint8Array.from(blob), rootKey, ...sdk.about(about) });
const verified = await certificate(canisterId);
const path = ["canister", canisterId.toUint8Array(), "certified_data"];
const result = verified.lookup_path ? verified.lookup_path(path) : verified.lookup(path);
output.certified = { data: hex(data), found: hex(result.value), status: result.status };
output.stranger = await failure(certificate(Principal.fromText(input.stranger)));

const metadata = async (identity, key) => {
  const path = { kind: "metadata", key, path: key, decodeStrategy: "utf-8" };
  const told = await CanisterStatus.request({ agent: agentOf(identity), canisterId, paths: [path] });
  return told.get(key) ?? null;
};
const controller = sdk.Ed25519KeyIdentity.fromSecretKey(Uint8Array.from(Buffer.from(input.controller, "hex")));
output.metadata = {
  anybody: await metadata(identities.ed25519, "private"),
  anonymous: await metadata(identities.anonymous, "private"),
  controller: await metadata(controller, "private"),
};
if (input.websocket !== undefined) {
  const paths = ["candid"];
  const canister = Principal.fromText(input.websocket);
  output.websocket = (await CanisterStatus.request({ agent, canisterId: canister, paths })).get("candid");
}

console.log(JSON.stringify(output));
