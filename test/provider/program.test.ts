import { afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import * as pulumi from "@pulumi/pulumi";
import { AMIAccount, AsteriskServer, ConfFile } from "../../provider/index.ts";

type Registered = pulumi.runtime.MockResourceArgs;

const registered: Registered[] = [];

beforeAll(async () => {
  await pulumi.runtime.setMocks({
    newResource: (args) => {
      registered.push(args);
      const outputs = {
        AsteriskServer: {
          connection: { name: args.name, secrets: { ami: { password: "key" } } },
          asteriskVersion: "22.1.0",
          configurationDirectory: "/etc/asterisk",
          initialImport: { done: true, files: { "queues.conf": "Stored" } },
        },
        AMIAccount: { password: "generated", accountFile: "manager.conf", verified: { read: "call" } },
        ConfFile: { hash: "hmac-sha256:00", effectiveView: [{ name: "sales" }] },
      }[args.type.split(":").at(-1) ?? ""];
      return { id: `${args.name}-id`, state: { ...args.inputs, ...outputs } };
    },
    call: () => ({}),
  });
});

afterEach(() => {
  registered.length = 0;
});

function server(options?: pulumi.CustomResourceOptions): AsteriskServer {
  const args = {
    ssh: { host: "pbx.example.com", user: "asterisk", privateKey: "key of ssh" },
    ami: { username: "iac", password: "password of ami" },
    updateDirection: "ToAsterisk" as const,
  };
  return new AsteriskServer("pbx", args, options);
}

/** Options that note which outputs the engine is told to keep as secrets, and which inputs are secrets already. */
function noting(): {
  options: pulumi.CustomResourceOptions;
  noted: () => Promise<{ outputs: string[]; inputs: string[] }>;
} {
  const seen: pulumi.ResourceTransformationArgs[] = [];
  const transformations = [
    (args: pulumi.ResourceTransformationArgs): undefined => {
      seen.push(args);
    },
  ];
  const noted = async () => {
    const [args] = seen;
    const inputs: string[] = [];
    for (const [key, value] of Object.entries((args?.props ?? {}) as Record<string, unknown>))
      if (key !== "__provider" && pulumi.Output.isInstance(value) && (await pulumi.isSecret(value)))
        inputs.push(key);
    const { additionalSecretOutputs = [] } = (args?.opts ?? {}) as pulumi.CustomResourceOptions;
    return { outputs: additionalSecretOutputs.toSorted(), inputs: inputs.sort() };
  };
  return { options: { transformations }, noted };
}

/** What an output resolves to, and whether it is a secret. */
async function seen<T>(output: pulumi.Output<T>): Promise<{ value: unknown; isSecret: boolean }> {
  const value = await new Promise((resolve) => pulumi.output(output).apply(resolve));
  return { value, isSecret: await pulumi.isSecret(output) };
}

function inputsOf(type: string): Record<string, unknown> {
  const one = registered.find((each) => each.type === `pulumi-nodejs:dynamic/asterisk-iac:${type}`);
  if (one === undefined) throw new Error(`no ${type} was registered`);
  return one.inputs as Record<string, unknown>;
}

describe("an AsteriskServer", () => {
  test("hands over its inputs and its name, the ways in as secrets, and tells what it is", async () => {
    const { options, noted } = noting();
    const pbx = server(options);
    expect(await seen(pbx.asteriskVersion)).toEqual({ value: "22.1.0", isSecret: false });
    expect(await seen(pbx.configurationDirectory)).toEqual({ value: "/etc/asterisk", isSecret: false });
    expect((await seen(pbx.initialImport)).value).toMatchObject({ files: { "queues.conf": "Stored" } });
    const { __provider: text, ssh, ami, ...inputs } = inputsOf("AsteriskServer");
    expect(text).toContain("asterisk-iac/runtime");
    expect(inputs).toEqual({ name: "pbx", updateDirection: "ToAsterisk" });
    expect(JSON.stringify([ssh, ami])).toContain("key of ssh");
    expect(await noted()).toEqual({ outputs: ["connection"], inputs: ["ami", "ssh"] });
  });
});

describe("what is on a server", () => {
  test("an AMIAccount takes the server itself, and its password is a secret", async () => {
    const { options, noted } = noting();
    const args = { server: server(), username: "crm", permit: ["192.0.2.1"], secret: "s" };
    const account = new AMIAccount("crm", args, options);
    expect((await seen(account.password)).value).toBe("generated");
    expect(await seen(account.username)).toEqual({ value: "crm", isSecret: false });
    expect(await seen(account.verified)).toEqual({ value: { read: "call" }, isSecret: false });
    expect(inputsOf("AMIAccount")).toMatchObject({ name: "crm", server: { value: { name: "pbx" } } });
    expect(await noted()).toEqual({ outputs: ["password", "server"], inputs: ["secret", "server"] });
  });

  test("a ConfFile takes a server's connection, and what Asterisk makes of it is a secret", async () => {
    const { options, noted } = noting();
    const sections = [{ name: "sales", lines: "member => PJSIP/100" }];
    const args = { server: server().connection, path: "queues.conf", sections, secrets: { a: { b: "c" } } };
    const queues = new ConfFile("queues", args, options);
    expect(await seen(queues.hash)).toEqual({ value: "hmac-sha256:00", isSecret: false });
    expect(inputsOf("ConfFile")).toMatchObject({
      name: "queues",
      path: "queues.conf",
      server: { value: { name: "pbx" } },
    });
    expect(await noted()).toEqual({
      outputs: ["effectiveView", "liveContent", "server"],
      inputs: ["secrets", "server"],
    });
  });

  test("keeps what the program itself wants to be secret beside what always is", async () => {
    const { options, noted } = noting();
    const args = { server: server(), path: "x.conf", content: pulumi.secret("x") };
    const own = new ConfFile("own", args, { ...options, additionalSecretOutputs: ["hash"] });
    await seen(own.hash);
    expect(await noted()).toEqual({
      outputs: ["effectiveView", "hash", "liveContent", "server"],
      inputs: ["content", "server"],
    });
  });
});
