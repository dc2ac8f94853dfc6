// Prints what an observer of bellpull hears: pushes, and what became of them.
//
//     npm ci
//     node observe.mjs FOLDER        # the folder that `bellpull enroll --observer` made
//
// A message counts only if its seal is the installation's: RabbitMQ carries messages, it does not vouch for them.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import amqp from "amqplib";
import { createLocalJWKSet, flattenedVerify } from "jose";

const SEALED_AS = {
  "dev.bellpull.ref.updated.v1": "bellpull-event+jws",
  "dev.bellpull.change.updated.v1": "bellpull-event+jws",
  "dev.bellpull.report.v1": "bellpull-report+jws",
};
const OLDEST_S = 7 * 24 * 3600; // nothing stays in the queue for longer: what is older was sent by somebody else
const AHEAD_S = 120; // clocks differ
const RECONNECT_MS = 5000;

class Refused extends Error {}

// Returns the message in `body`, once its seal was checked.
async function opened(body, seal, keys, installation) {
  if (typeof seal !== "string") throw new Refused("it has no seal");
  const [protected_, payload, signature, more] = seal.split(".");
  // With bytes of its own it would vouch for those, and not for the body.
  if (payload !== "" || !signature || more !== undefined) throw new Refused("the seal does not fit: it is malformed");
  let header;
  try {
    const jws = { protected: protected_, payload: new Uint8Array(body), signature };
    header = (await flattenedVerify(jws, keys, { algorithms: ["Ed25519"] })).protectedHeader;
  } catch (error) {
    throw new Refused(`the seal does not fit: ${error.code ?? error.message}`);
  }
  if (header.b64 !== false) throw new Refused("the seal is over something else");
  if (header.aud !== installation) throw new Refused("it is for another installation");
  const age = Date.now() / 1000 - header.iat;
  if (!(age >= -AHEAD_S && age <= OLDEST_S)) throw new Refused("it was sealed long ago, or a clock is wrong");
  const message = JSON.parse(body);
  if (!header.typ || SEALED_AS[message.type] !== header.typ) throw new Refused("it was sealed as something else");
  return message;
}

// Returns what to print of a message.
function line({ type, subject, data }) {
  const words = {
    "dev.bellpull.ref.updated.v1": () => ["push", subject, data.after ?? "deleted", `by ${data.actor ?? "somebody"}`],
    "dev.bellpull.change.updated.v1": () => ["change", subject, data.action, data.head],
    "dev.bellpull.report.v1": () => {
      const of = data.watches.repository;
      const about = ["on", data.agent, data.sync, data.message ?? ""];
      return ["outcome", data.word, `${of.host}/${of.path}`, data.commit ?? "-", ...about];
    },
  }[type]();
  return words.join(" ").trim().replace(/[\p{C}]/gu, "?");
}

// Connects, and prints what comes until the connection is lost.
async function listen(folder) {
  const read = (name) => readFile(join(folder, name));
  const settings = JSON.parse(await read("observer.json"));
  const keys = createLocalJWKSet(JSON.parse(await read(settings.keys)));
  const url = new URL(settings.url);
  const connection = await amqp.connect(
    {
      protocol: url.protocol.replace(":", ""),
      hostname: url.hostname,
      port: Number(url.port) || (url.protocol === "amqps:" ? 5671 : 5672),
      username: settings.username,
      password: (await read(settings.password)).toString().trim(),
      vhost: decodeURIComponent(url.pathname.slice(1)) || "/",
    },
    settings.ca ? { ca: [await read(settings.ca)], servername: url.hostname } : {},
  );
  const lost = new Promise((resolve) => connection.once("close", resolve));
  connection.on("error", (error) => console.log(`not connected: ${error.message}`));
  const channel = await connection.createChannel();
  channel.on("error", (error) => console.log(`not connected: ${error.message}`));
  channel.once("close", () => connection.close().catch(() => {}));
  await channel.prefetch(20);
  let last = Promise.resolve(); // one after the other, as they came
  await channel.consume(settings.queue, (message) => {
    if (message === null) return channel.close();
    last = last.then(() => take(message, channel, keys, settings.installation));
  });
  console.log(`listening to ${settings.queue}`);
  await lost;
}

async function take(message, channel, keys, installation) {
  try {
    console.log(line(await opened(message.content, message.properties.headers?.["bellpull-seal"], keys, installation)));
  } catch (error) {
    console.log(`refused: ${error instanceof Refused ? error.message : "it is no message of this version"}`);
  }
  try {
    channel.ack(message);
  } catch {
    // The connection is lost; what was not acknowledged comes again.
  }
}

if (process.argv.length !== 3) {
  console.error("usage: node observe.mjs FOLDER");
  process.exit(1);
}
for (;;) {
  try {
    await listen(process.argv[2]);
  } catch (error) {
    console.log(`not connected: ${error.code ?? error.message}`);
  }
  await sleep(RECONNECT_MS);
}
