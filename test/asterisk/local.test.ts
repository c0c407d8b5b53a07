import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { openLocal } from "../../asterisk/local.ts";
import { rejection } from "../support/host-sshd.ts";

const canBecome = spawnSync("sudo", ["-n", "-u", "nobody", "true"]).status === 0;

test("what is no user name is refused", () => {
  expect(() => openLocal({ label: "here", become: "-u root" })).toThrow("is not a user name");
});

test("a user that does not exist: PermissionDenied with the line for sudoers", async () => {
  const host = openLocal({ label: "here", become: "no-such-user-here" });
  const error = await rejection(host.run("true"));
  expect(error).toMatchObject({ code: "PermissionDenied", where: { server: "here" } });
  await host.close();
});

// Needs sudo without a password, as in a container or a continuous-integration machine.
(canBecome ? describe : describe.skip)("through sudo", () => {
  test("scripts run as the other user, and are killed as that user at their deadline", async () => {
    const host = openLocal({ label: "here", become: "nobody" });
    expect((await host.run("id -un")).stdout.toString()).toBe("nobody\n");
    const file = `/tmp/asterisk-iac-pids-${randomBytes(8).toString("hex")}`;
    const error = await rejection(
      host.run('sleep 600 & echo "$$ $!" >"$1"; wait', { args: [file], timeoutMs: 1_000 }),
    );
    expect(error).toMatchObject({ code: "TimedOut" });
    const check =
      'read -r pids <"$1" && rm "$1"; for pid in $pids; do grep -s "^State:[^ZX]*$" "/proc/$pid/status"; done';
    expect((await host.run(check, { args: [file] })).stdout.toString()).toBe("");
    await host.close();
  });
});
