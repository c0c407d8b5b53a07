import { describe, expect, test } from "@jest/globals";
import { AsteriskIacError } from "../../core/errors.ts";
import { telling } from "../../provider/failures.ts";
import type { Properties } from "../../provider/properties.ts";

const key = "-----BEGIN KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ\n-----END KEY-----\n";

async function told(properties: Properties, thrown: unknown, isDelete = false): Promise<string> {
  const failing = telling({ kind: "ConfFile", properties: [properties], isDelete }, () =>
    Promise.reject(thrown),
  );
  return failing.then(
    () => "",
    (error: unknown) => `${(error as Error).message}|${String((error as Error).stack)}`,
  );
}

describe("what a failing handler says", () => {
  test("is the resource, the place, what went wrong and what to do, and no stack", async () => {
    const where = { server: "pbx1", file: "queues.conf", line: 3 };
    const error = new AsteriskIacError("ConfInvalid", "it is wrong", { where, hint: "Mend it." });
    const text = "ConfFile queues (pbx1:queues.conf:3): it is wrong\n  Mend it.";
    expect(await told({ name: "queues" }, error)).toBe(`${text}|${text}`);
  });

  test("holds no secret of any input or state, whoever wrote it into the message", async () => {
    const properties = {
      name: "queues",
      secret: "secret-1",
      password: "secret-2",
      secrets: { a: { b: "secret-3" } },
      ssh: { host: "host-1", privateKey: key, password: "secret-4" },
      ami: { username: "user-1", password: "secret-5" },
      server: {
        secrets: {
          ami: { username: "user-2", password: "secret-6" },
          "asterisk-iac": { "record-key": "secret-7" },
        },
      },
      connection: { secrets: { ssh: { "ssh-privatekey": "secret-8", known_hosts: "host-2" } } },
    };
    const message = await told(properties, new Error(JSON.stringify(properties) + key.split("\n")[1]));
    expect(message).not.toMatch(/secret-\d|b3Blbn/);
    expect(message).toMatch(/host-1.*user-1.*user-2.*host-2/);
  });

  test("says how to let go of a server that is gone, where that is what is wanted", async () => {
    const error = new AsteriskIacError("Unreachable", "nobody answers", { hint: "Look at the network." });
    expect(await told({ name: "x" }, error, true)).toContain("pulumi state delete");
    expect(await told({ name: "x" }, error)).not.toContain("pulumi state delete");
  });
});
