// The driver of @icp-sdk/core and @dfinity/vetkeys for the target "vectors", and an example for authors of others. The
// protocol is in docs/conformance.md: questions and answers, one JSON document a line, bytes in hexadecimal.
//
// Argument: the folder whose node_modules hold the two packages.

import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const folder = resolve(process.argv[2] ?? ".");

// What a package offers to "import", without the file that is to import it lying beside it.
async function load(name, entry = ".") {
  const home = join(folder, "node_modules", name);
  const { exports } = JSON.parse(readFileSync(join(home, "package.json")));
  let found = exports[entry];
  while (typeof found === "object") found = found.import ?? found.default ?? found.node;
  return import(pathToFileURL(join(home, found)));
}

// What packages print must not get between the lines.
console.log = console.info = console.debug = console.warn = (...words) => console.error(...words);

const { Cbor, Certificate, LookupPathStatus, hashOfMap, hashValue, lookup_path, reconstruct } = await load("@icp-sdk/core", "./agent");
const { Principal } = await load("@icp-sdk/core", "./principal");
const vetkeys = await load("@dfinity/vetkeys");

const hex = (bytes) => Buffer.from(bytes).toString("hex");
const bytes = (text) => Uint8Array.from(Buffer.from(text, "hex"));

class Unsupported extends Error {}

// The package asks the clock itself; here the question says what time it is.
let now = Date.now();
globalThis.Date = class extends Date {
  constructor(...given) {
    super(...(given.length ? given : [now]));
  }
  static now() {
    return now;
  }
};

function value(described) {
  const [[kind, inner]] = Object.entries(described);
  if (kind === "map") return Object.fromEntries(Object.entries(inner).map(([name, item]) => [name, value(item)]));
  if (kind === "array") return inner.map(value);
  if (kind === "blob") return bytes(inner);
  return kind === "nat" ? BigInt(inner) : inner;
}

function shown(result) {
  if (result.status === LookupPathStatus.Found) return { result: "found", value_hex: hex(result.value) };
  return { result: result.status.toLowerCase() };
}

const lookUp = (paths, tree) => (paths ?? []).map((path) => shown(lookup_path(path.map(bytes), tree)));

async function certificate(v) {
  if (!v.canister_id) throw new Unsupported();
  now = Number(BigInt(v.now_ns) / 1_000_000n);
  const principal = { canisterId: Principal.fromText(v.canister_id) };
  const found = await Certificate.create({ certificate: bytes(v.certificate_hex), rootKey: bytes(v.root_key_der_hex), principal });
  // witnesses and contents are for clients of canisters to compare, not for an agent
  if (v.witness_tree_hex) throw new Unsupported();
  const time = found.lookup_path(["time"]).value;
  const number = time.reduceRight((sum, byte) => (sum << 7n) | BigInt(byte & 0x7f), 0n);
  return { time_ns: String(number), lookups: lookUp(v.lookups, found.cert.tree) };
}

async function hashTree(v) {
  // decoding and well-formedness are two things; the package has the first
  const tree = Cbor.decode(bytes(v.tree_hex));
  if (v.labels_below) throw new Unsupported();
  return { root_hash_hex: hex(await reconstruct(tree)), lookups: lookUp(v.lookups, tree) };
}

const vetkd = {
  derive_public_key: (v) => {
    const key = v.master_public_key_hex
      ? vetkeys.MasterPublicKey.deserialize(bytes(v.master_public_key_hex)).deriveCanisterKey(bytes(v.canister_id_hex))
      : vetkeys.DerivedPublicKey.deserialize(bytes(v.canister_key_hex));
    return { derived_key_hex: hex(key.deriveSubKey(bytes(v.context_hex)).publicKeyBytes()) };
  },
  transport_public_key: (v) => ({
    transport_public_key_hex: hex(vetkeys.TransportSecretKey.deserialize(bytes(v.transport_secret_key_be_hex)).publicKeyBytes()),
  }),
  check_transport_public_key: (v) => {
    if (!vetkeys.isValidTransportPublicKey(bytes(v.transport_public_key_hex))) throw new Error("not valid");
    return {};
  },
  decrypt_and_verify: (v) => {
    const key = vetkeys.EncryptedVetKey.deserialize(bytes(v.encrypted_key_hex)).decryptAndVerify(
      vetkeys.TransportSecretKey.deserialize(bytes(v.transport_secret_key_be_hex)),
      vetkeys.DerivedPublicKey.deserialize(bytes(v.derived_key_hex)),
      bytes(v.input_hex),
    );
    return { vetkey_hex: hex(key.serialize()) };
  },
  verify_vetkey: (v) => {
    const key = vetkeys.DerivedPublicKey.deserialize(bytes(v.derived_key_hex));
    const point = vetkeys.VetKey.deserialize(bytes(v.vetkey_hex)).signatureBytes();
    if (!vetkeys.verifyBlsSignature(key, bytes(v.input_hex), point)) throw new Error("does not verify");
    return {};
  },
  hkdf: (v) => ({ output_hex: hex(vetkeys.deriveSymmetricKey(bytes(v.input_hex), bytes(v.info_hex), Number(v.length ?? 32))) }),
  hash_to_scalar: (v) => ({ scalar_be_hex: vetkeys.hashToScalar(bytes(v.input_hex), v.dst).toString(16).padStart(64, "0") }),
  ibe_decrypt: (v) => ({
    plaintext_hex: hex(vetkeys.IbeCiphertext.deserialize(bytes(v.ciphertext_hex)).decrypt(vetkeys.VetKey.deserialize(bytes(v.vetkey_hex)))),
  }),
};

const kinds = {
  principal: (v) => ({ hex: hex(Principal.fromText(v.text).toUint8Array()) }),
  representation_independent_hash: (v) => ({
    hash_hex: hex("map" in v.value ? hashOfMap(value(v.value)) : hashValue(value(v.value))),
  }),
  hash_tree: hashTree,
  certificate,
  vetkd: (v) => {
    if (!vetkd[v.op]) throw new Unsupported();
    return vetkd[v.op](v);
  },
};

async function answer({ id, kind, input }) {
  if (!kinds[kind]) return { id, verdict: "unsupported" };
  try {
    return { id, verdict: "accept", output: await kinds[kind](input) };
  } catch (error) {
    if (error instanceof Unsupported) return { id, verdict: "unsupported" };
    return { id, verdict: "reject", reason: String(error?.name ?? "Error") };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(JSON.stringify(await answer(JSON.parse(line))) + "\n");
}
