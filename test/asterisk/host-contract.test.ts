import { randomBytes } from "node:crypto";
import { createServer } from "node:net";
import type { Duplex } from "node:stream";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import type { Host } from "../../asterisk/host.ts";
import { openLocal } from "../../asterisk/local.ts";
import { openSSH } from "../../asterisk/ssh/ssh-host.ts";
import { labLogin, onlyServer, rejection } from "../support/host-sshd.ts";
import { useLab } from "../support/lab.ts";

const lab = useLab();

const ways: Record<string, () => Promise<Host>> = {
  "over SSH as the files' owner": async () => openSSH(await labLogin(onlyServer(lab), "asterisk")),
  "over SSH through sudo": async () =>
    openSSH({ ...(await labLogin(onlyServer(lab), "admin")), become: "asterisk" }),
  "on this machine": () => Promise.resolve(openLocal({ label: "here" })),
};

describe.each(Object.entries(ways))("%s", (_, open) => {
  let host: Host;
  beforeAll(async () => {
    host = await open();
  });
  afterAll(() => host.close());

  test("a script gets its arguments and its input, and its output, errors and code come back", async () => {
    const everyByte = Buffer.from(Array.from({ length: 256 }, (_unused, byte) => byte));
    const script = 'printf "%s|" "$@"; cat; echo "not good" >&2; exit 7';
    const answer = await host.run(script, { args: ["a b", "", "-rf"], stdin: everyByte });
    expect(answer.code).toBe(7);
    expect(answer.stdout).toEqual(Buffer.concat([Buffer.from("a b||-rf|"), everyByte]));
    expect(answer.stderr).toBe("not good\n");
  });

  test("arguments of any characters arrive as they are", async () => {
    const word = fc.string({ unit: "binary", maxLength: 40 }).filter((text) => !text.includes("\0"));
    const tricky = fc.constantFrom(
      "'",
      "$(id)",
      "`id`",
      "\\0101",
      "%s%%",
      "a\nb\n",
      "!!",
      '"',
      "é",
      "*",
      "~",
    );
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(word, tricky), { minLength: 1, maxLength: 30 }), async (args) => {
        const { stdout } = await host.run('printf "%s\\0" "$@"', { args });
        expect(stdout).toEqual(Buffer.from(args.map((arg) => `${arg}\0`).join("")));
      }),
      { numRuns: 25 },
    );
  });

  test("an argument with a NUL is refused", async () => {
    expect(await rejection(host.run("true", { args: ["a\0b"] }))).toMatchObject({ code: "InvalidArgument" });
  });

  test("megabytes go through both ways unchanged", async () => {
    const bytes = randomBytes(5_000_000);
    const { stdout } = await host.run("cat", { stdin: bytes });
    expect(stdout.equals(bytes)).toBe(true);
  });

  test("a script need not read its input", async () => {
    const { stdout } = await host.run("echo done", { stdin: randomBytes(3_000_000) });
    expect(stdout.toString()).toBe("done\n");
  });

  test("neither script nor arguments show in the process list", async () => {
    const secret = randomBytes(16).toString("hex");
    const script = 'for file in /proc/[0-9]*/cmdline; do tr "\\0" " " <"$file"; echo; done 2>/dev/null';
    const { stdout } = await host.run(script, { args: [secret] });
    expect(stdout.toString()).toContain("IFS= read -r program");
    expect(stdout.toString()).not.toContain(secret);
    expect(stdout.toString()).not.toContain("/proc/[0-9]*/cmdline");
  });

  test("after its deadline a script is killed with its children", async () => {
    const file = `/tmp/asterisk-iac-pids-${randomBytes(8).toString("hex")}`;
    const script = 'sleep 600 & echo "$$ $!" >"$1"; wait';
    const started = performance.now();
    const error = await rejection(host.run(script, { args: [file], timeoutMs: 1_000 }));
    expect(error).toMatchObject({ code: "TimedOut" });
    expect(performance.now() - started).toBeLessThan(20_000);
    // A process that was killed may wait as a zombie (Z) for its new parent.
    const check = `
      read -r pids <"$1" && rm "$1"
      for pid in $pids; do grep -s '^State:[^ZX]*$' "/proc/$pid/status"; done
      echo checked`;
    expect((await host.run(check, { args: [file] })).stdout.toString()).toBe("checked\n");
  });

  test("more output than allowed is an error and not a cut", async () => {
    const error = await rejection(host.run("head -c 3000000 /dev/zero", { maxOutputBytes: 1_000_000 }));
    expect(error).toMatchObject({ code: "UnexpectedAnswer" });
    expect(error.message).toContain("1000000 bytes");
    const exact = await host.run("head -c 1000000 /dev/zero", { maxOutputBytes: 1_000_000 });
    expect(exact.stdout).toHaveLength(1_000_000);
  });

  test("a script that is killed, or does not parse, is an error and not an empty answer", async () => {
    expect(await rejection(host.run("echo half; kill -9 $$"))).toMatchObject({ code: "CommandFailed" });
    expect((await rejection(host.run("if then"))).message).toMatch(/syntax error/i);
  });

  test("twenty scripts at once are all answered", async () => {
    const numbers = Array.from({ length: 20 }, (_unused, index) => String(index));
    const answers = await Promise.all(numbers.map((number) => host.run('echo "$1"', { args: [number] })));
    expect(answers.map(({ stdout }) => stdout.toString().trim())).toEqual(numbers);
  });

  test("a TCP connection goes from the host's side; a closed port is Unreachable", async () => {
    const server = createServer((socket) => socket.on("error", () => undefined).pipe(socket));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    const stream = await host.connectTCP("127.0.0.1", port);
    stream.write("Action: Ping\r\n");
    expect(await firstData(stream)).toBe("Action: Ping\r\n");
    const ended = new Promise((resolve) => stream.once("close", resolve));
    stream.resume().end();
    await ended;
    await new Promise((resolve) => server.close(resolve));
    expect(await rejection(host.connectTCP("127.0.0.1", port))).toMatchObject({ code: "Unreachable" });
  });

  test("each script counts as one round trip", async () => {
    const before = host.roundTrips;
    await host.run("true");
    await host.run("true");
    expect(host.roundTrips - before).toBe(2);
  });

  test("what runs when the host is closed, and what comes after, is ConnectionLost", async () => {
    const other = await open();
    const running = rejection(other.run("sleep 600"));
    await other.run("true");
    await other.close();
    expect(await running).toMatchObject({ code: "ConnectionLost" });
    expect(await rejection(other.run("true"))).toMatchObject({ code: "ConnectionLost" });
    expect(await rejection(other.connectTCP("127.0.0.1", 1))).toMatchObject({ code: "ConnectionLost" });
  });
});

function firstData(stream: Duplex): Promise<string> {
  return new Promise((resolve) => stream.once("data", (chunk: Buffer) => resolve(chunk.toString())));
}
