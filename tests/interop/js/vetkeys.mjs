// @dfinity/vetkeys: keys, derivation, decryption, identity-based encryption; messages in the current format, and rooms'
// content, by WebCrypto over the keys that the package derives. Takes JSON, all bytes in hex; prints JSON.
import { createHash, createHmac, webcrypto } from "node:crypto";
import {
  DerivedPublicKey,
  EncryptedVetKey,
  IbeCiphertext,
  IbeIdentity,
  IbeSeed,
  MasterPublicKey,
  TransportSecretKey,
  VetKey,
  deriveSymmetricKey,
  isValidTransportPublicKey,
  verifyBlsSignature,
} from "@dfinity/vetkeys";

const given = JSON.parse(process.argv[2]);
const bytes = (hex) => new Uint8Array(Buffer.from(hex, "hex"));
const hex = (data) => Buffer.from(data).toString("hex");
const join = (...parts) => new Uint8Array(Buffer.concat(parts.map((part) => Buffer.from(part))));
const text = (words) => new TextEncoder().encode(words);

async function failure(step) {
  try {
    await step();
  } catch (error) {
    return String(error.message ?? error) || "an error";
  }
  return null;
}

async function gcm(key, mode, iv, data, aad) {
  const imported = await webcrypto.subtle.importKey("raw", key, "AES-GCM", false, [mode]);
  return new Uint8Array(await webcrypto.subtle[mode]({ name: "AES-GCM", iv, additionalData: aad, tagLength: 128 }, imported, data));
}

// Messages "IC GCMv2"; version 0.4 of the package writes the older format only.
const HEADER = text("IC GCMv2");
const messageKey = (vetkey, domain) =>
  deriveSymmetricKey(
    vetkey.deriveSymmetricKey("ic-vetkd-bls12-381-g2-derived-key-material", 32),
    join(text("ic-vetkd-bls12-381-g2-aes-gcm-v2-"), domain),
    32,
  );

async function encryptMessage(vetkey, message, domain, associated) {
  const nonce = webcrypto.getRandomValues(new Uint8Array(12));
  const sealed = await gcm(messageKey(vetkey, domain), "encrypt", nonce, message, join(HEADER, associated));
  return join(HEADER, nonce, sealed);
}

const decryptMessage = (vetkey, data, domain, associated) =>
  gcm(messageKey(vetkey, domain), "decrypt", data.slice(8, 20), data.slice(20), join(HEADER, associated));

// Content of a room: the keys are derived by the package, the place it is bound to is given.
const roomKeys = (vetkey, info) => vetkey.deriveSymmetricKey(info, 64);

const openRoom = (vetkey, info, { iv, ciphertext, aad }) =>
  gcm(roomKeys(vetkey, info).slice(0, 32), "decrypt", bytes(iv), bytes(ciphertext), bytes(aad));

async function sealRoom(vetkey, info, data, aad) {
  const keys = roomKeys(vetkey, info);
  const digest = createHash("sha256").update(data).digest();
  const iv = createHmac("sha256", keys.slice(32)).update(digest).update(aad).digest().subarray(0, 12);
  return { iv: hex(iv), ciphertext: hex(await gcm(keys.slice(0, 32), "encrypt", iv, data, aad)) };
}

function transport() {
  const fresh = TransportSecretKey.random();
  return {
    secret: hex(fresh.serialize()),
    public: hex(fresh.publicKeyBytes()),
    publicOfGiven: hex(TransportSecretKey.deserialize(bytes(given.secret)).publicKeyBytes()),
    acceptsIdentity: isValidTransportPublicKey(bytes("c0" + "00".repeat(47))),
  };
}

async function work() {
  const derived = MasterPublicKey.deserialize(bytes(given.masterKey))
    .deriveCanisterKey(bytes(given.canister))
    .deriveSubKey(bytes(given.context));
  const transportKey = TransportSecretKey.deserialize(bytes(given.secret));
  const input = bytes(given.input);
  const encrypted = EncryptedVetKey.deserialize(bytes(given.encryptedKey));
  const vetkey = encrypted.decryptAndVerify(transportKey, derived, input);
  const domain = bytes(given.domain);
  const associated = bytes(given.associated);
  const message = bytes(given.message);
  const material = await vetkey.asDerivedKeyMaterial();
  const identity = IbeIdentity.fromBytes(input);
  const theirs = bytes(given.ciphertext);
  const info = bytes(given.roomInfo);
  return {
    derivedKey: hex(derived.publicKeyBytes()),
    vetkey: hex(vetkey.serialize()),
    isSignature: verifyBlsSignature(derived, input, VetKey.deserialize(bytes(given.vetkey)).signatureBytes()),
    wrongInput: await failure(() => encrypted.decryptAndVerify(transportKey, derived, join(input, [0]))),
    wrongKey: await failure(() => encrypted.decryptAndVerify(transportKey, DerivedPublicKey.deserialize(bytes(given.masterKey)), input)),
    symmetric: hex(vetkey.deriveSymmetricKey(domain, 44)),
    opened: hex(await decryptMessage(vetkey, theirs, domain, associated)),
    openedElsewhere: await failure(() => decryptMessage(vetkey, theirs, domain, join(associated, [0]))),
    sealed: hex(await encryptMessage(vetkey, message, domain, associated)),
    headerless: hex(await material.encryptMessage(message, domain)),
    ibeOpened: hex(IbeCiphertext.deserialize(bytes(given.ibe)).decrypt(vetkey)),
    ibe: hex(IbeCiphertext.encrypt(derived, identity, message, IbeSeed.random()).serialize()),
    roomOpened: hex(await openRoom(vetkey, info, given.room)),
    room: await sealRoom(vetkey, info, message, bytes(given.roomAad)),
  };
}

console.log(JSON.stringify(given.task === "transport" ? transport() : await work()));
