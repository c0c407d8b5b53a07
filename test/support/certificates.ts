import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

/** A certificate and its key, in PEM. */
export interface Certificate {
  readonly certificate: string;
  readonly key: string;
}

/** A certificate authority made by the openssl command, with its files in `directory`. */
export class Authority {
  readonly #directory: string;
  readonly #name: string;

  private constructor(directory: string, name: string) {
    this.#directory = directory;
    this.#name = name;
  }

  static async create(directory: string, name: string): Promise<Authority> {
    const authority = new Authority(directory, name);
    const files = ["-keyout", authority.#file("key"), "-out", authority.#file("pem")];
    await run("openssl", ["req", "-x509", ...newKey, ...files, "-subj", `/CN=${name}`, "-days", "2"]);
    return authority;
  }

  certificate(): Promise<string> {
    return readFile(this.#file("pem"), "utf8");
  }

  /** Signs a certificate for `subjectAltName` (`DNS:pbx.example`, `IP:127.0.0.1`); it ended yesterday with `days` -1. */
  async sign(subjectAltName: string, days = 2): Promise<Certificate> {
    const leaf = (suffix: string) => this.#file(`leaf.${suffix}`);
    await writeFile(leaf("ext"), `subjectAltName=${subjectAltName}\n`);
    await run("openssl", [
      "req",
      ...newKey,
      "-keyout",
      leaf("key"),
      "-out",
      leaf("csr"),
      "-subj",
      "/CN=leaf",
    ]);
    const signer = ["-CA", this.#file("pem"), "-CAkey", this.#file("key"), "-CAcreateserial"];
    const files = ["-in", leaf("csr"), "-out", leaf("pem"), "-extfile", leaf("ext")];
    await run("openssl", ["x509", "-req", ...files, ...signer, "-days", String(days)]);
    return { certificate: await readFile(leaf("pem"), "utf8"), key: await readFile(leaf("key"), "utf8") };
  }

  #file(suffix: string): string {
    return join(this.#directory, `${this.#name}.${suffix}`);
  }
}
