/** What asterisk-manager 0.2.0 ships no types for: the part of it that wire.ts uses. */
declare module "asterisk-manager" {
  import type { EventEmitter } from "node:events";
  import type { TcpNetConnectOpts, IpcNetConnectOpts } from "node:net";

  interface Manager extends Pick<EventEmitter, "on" | "once" | "removeAllListeners"> {
    /** Its first parameter goes to `net.createConnection` as it is, so it takes that function's options too. */
    connect(options: TcpNetConnectOpts | IpcNetConnectOpts): void;
    /** Writes one action; `actionid` is taken as given. */
    action(request: Record<string, string>): string;
  }

  /** Without a port it connects only when told to. */
  const createManager: () => Manager;
  export default createManager;
}
