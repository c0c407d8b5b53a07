/**
 * Loaded into a run of the command line before anything else (`node --import`), it ends the run with SIGKILL at one moment
 * of a rotation, which KILL_WHEN names: `stored`, the pending secrets are; `reload`, the files are written and Asterisk is
 * about to be told; `told`, it has been; `promote`, the new secret was seen to work; `promoted`, it is the secret, and the
 * pending one is still there. AMI has to be plain text.
 */
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { Socket } from "node:net";

const when = process.env["KILL_WHEN"];
const end = (): void => void process.kill(process.pid, "SIGKILL");

const { link, rename } = fs.promises;
fs.promises.link = async (from, to) => {
  await link(from, to);
  if (when === "stored" && String(to).endsWith(".pending")) end();
};
fs.promises.rename = async (from, to) => {
  const isPromotion = String(to).endsWith("/password");
  if (when === "promote" && isPromotion) end();
  await rename(from, to);
  if (when === "promoted" && isPromotion) end();
};
syncBuiltinESMExports();

/** What a Socket has of Writable's inner methods. */
interface Streaming {
  _write(chunk: Buffer, encoding: BufferEncoding, done: () => void): void;
  _writev?: unknown;
}
const streaming = Socket.prototype as unknown as Streaming;
const send = streaming._write;
streaming._writev = null;
streaming._write = function (this: Socket & Streaming, chunk, encoding, done) {
  const isReload = chunk.toString("latin1").includes("Action: Reload");
  if (isReload && when === "reload") end();
  send.call(this, chunk, encoding, () => {
    if (isReload && when === "told") end();
    done();
  });
};
