import type { Duplex } from "node:stream";
import { asAsteriskIacError } from "../../core/errors.ts";
import type { SocketHost } from "../host.ts";
import { askInstallation } from "../live.ts";

const usual = "/var/run/asterisk/asterisk.ctl";

/**
 * A stream to Asterisk's control socket. Its usual place is tried first, so that an account that may open no shell is
 * enough; where that fails, Asterisk is asked for its place. Rejects as `connectUnix` does.
 */
export async function openControlSocket(host: SocketHost): Promise<Duplex> {
  try {
    return await host.connectUnix(usual);
  } catch (thrown) {
    const error = asAsteriskIacError(thrown);
    if (error.code !== "Unreachable") throw error;
    const installation = await askInstallation(host).catch(() => undefined);
    const path = `${installation?.runDirectory}/asterisk.ctl`;
    if (installation === undefined || path === usual) throw error;
    return host.connectUnix(path);
  }
}
