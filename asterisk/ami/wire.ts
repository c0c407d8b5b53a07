import type { TcpNetConnectOpts, IpcNetConnectOpts } from "node:net";
import createManager from "asterisk-manager";
import type { Headers } from "./codec.ts";

/** Where the socket goes: TCP, or a private socket that stands for a TLS or SSH stream (see transport.ts). */
export type Endpoint = { readonly host: string; readonly port: number } | { readonly path: string };

/** What a wire tells: bytes as they come (valid only during the call), and its end, once, with the reason if any. */
export interface WireListener {
  received(bytes: Uint8Array): void;
  closed(reason: Error | undefined): void;
}

/** An open or opening connection that carries actions out and bytes in. */
export interface Wire {
  /** Writes one action. The caller has checked it: asterisk-manager would let a CRLF in a value pass. */
  send(actionID: string, name: string, headers: Headers): void;
  /** Ends the connection at once, whatever state it is in. */
  destroy(): void;
}

/**
 * The one place that knows asterisk-manager. The package owns the socket and writes the actions. It gets no bytes
 * back: they go by its reader, which has no limits, loses bytes that are not UTF-8 and keeps half a message for the
 * next connection. It logs in nowhere, reconnects nowhere, and lives for one connection. Why: docs/decisions/0002.
 */
export function openWire(endpoint: Endpoint, listener: WireListener): Wire {
  const manager = createManager();
  const abort = new AbortController();
  let reason: Error | undefined;
  manager.on("error", (error: Error) => (reason ??= abort.signal.aborted ? undefined : error));
  manager.once("close", () => listener.closed(reason));
  const receive = {
    buffer: Buffer.allocUnsafe(8 * 1024),
    callback: (length: number, buffer: Uint8Array) => {
      listener.received(buffer.subarray(0, length));
      return true;
    },
  };
  // `signal` is an option of every net.Socket; the types name it for fewer.
  const options = { ...endpoint, onread: receive, signal: abort.signal } as
    TcpNetConnectOpts | IpcNetConnectOpts;
  manager.connect(options);
  return {
    send(actionID, name, headers) {
      const request: Record<string, string> = { ...headers, Action: name, actionid: actionID };
      // It holds back whatever is no `login` until its own login, in the clear, went through. Ours is by challenge,
      // so every action passes as one: this property is seen by that check and not enumerated onto the wire.
      Object.defineProperty(request, "action", { value: "login", enumerable: false });
      manager.action(request);
      // It waits for an answer in a listener of its own, which would never be called and never be dropped.
      manager.removeAllListeners(actionID);
    },
    destroy() {
      abort.abort();
    },
  };
}
