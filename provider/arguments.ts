import type { Input } from "@pulumi/pulumi";
import type { AMIClasses } from "../core/resource/index.ts";

/** Which side is the source of truth. */
export type UpdateDirection = "ToAsterisk" | "FromAsterisk";

/** How sshd of a server is reached. */
export interface SSHArgs {
  host: Input<string>;
  /** Default: 22. */
  port?: Input<number> | undefined;
  /** The user to log in as. */
  user?: Input<string> | undefined;
  /** In OpenSSH's or PEM form. Without it and `password`: the SSH agent. Always kept as a secret. */
  privateKey?: Input<string> | undefined;
  /** Always kept as a secret. */
  password?: Input<string> | undefined;
  /** Lines of a known_hosts file with the server's host key; default: the user's own known_hosts. */
  knownHosts?: Input<string> | undefined;
  /** The user that owns the files, reached through `sudo -n`. */
  become?: Input<string> | undefined;
}

/** How AMI of a server is reached, and who asterisk-iac is to it. */
export interface AMIArgs {
  /** As seen from where the connection starts: the server itself with SSHTunnel. Default: 127.0.0.1. */
  host?: Input<string> | undefined;
  /** Default: 5038. */
  port?: Input<number> | undefined;
  /** Default: SSHTunnel. Direct needs tls, a loopback host, or `allowPlaintext`. */
  via?: Input<"SSHTunnel" | "Direct"> | undefined;
  tls?:
    | Input<{
        /** PEM; default: the system's authorities. */ ca?: Input<string> | undefined;
        serverName?: Input<string> | undefined;
      }>
    | undefined;
  /** Direct, without TLS, across a network: named so because it is unsafe. */
  allowPlaintext?: Input<boolean> | undefined;
  username: Input<string>;
  /** Always kept as a secret. */
  password: Input<string>;
}

/** What an AsteriskServer is made from. The fields are those of the resource of the same name, with values for references. */
export interface AsteriskServerArgs {
  /** Either this or `local`. */
  ssh?: Input<SSHArgs> | undefined;
  /** Asterisk runs on the machine where Pulumi runs. */
  local?: Input<{ become?: Input<string> | undefined }> | undefined;
  ami: Input<AMIArgs>;
  /** Default: asked from Asterisk. */
  configDirectory?: Input<string> | undefined;
  /** Globs; `*` does not cross `/`. Default: every .conf, .ael and .lua, and what they include. */
  files?: Input<Input<string>[]> | undefined;
  updateDirection?: Input<UpdateDirection> | undefined;
  /** The first that matches wins. */
  rules?:
    | Input<
        Input<{
          files: Input<string>;
          updateDirection?: Input<UpdateDirection> | undefined;
          unmanaged?: Input<true> | undefined;
        }>[]
      >
    | undefined;
  /** A folder with the server's files, relative to the program: written, or collected, in one commit. */
  source?: Input<{ directory: Input<string> }> | undefined;
  /** Files that are gone from `source` are removed from the server. Default: false. */
  prune?: Input<boolean> | undefined;
  /** What to do about changes made on the side that is not the source of truth. Default: Correct. */
  drift?: Input<"Correct" | "Report"> | undefined;
  /** How much may disappear at once; default: "30%". */
  maxChange?: Input<string | number> | undefined;
  /** Default: false. */
  allowExec?: Input<boolean> | undefined;
  /** What a conflict between the folder and the server becomes. Default: Fail, which writes nothing. */
  onConflict?: Input<"Fail" | "TakeSource" | "TakeServer"> | undefined;
  /** What may pass all the same. */
  allow?: Input<Input<"take-over" | "large-change">[]> | undefined;
  /** A new value makes the initial import anew, as after a reinstallation of the machine. */
  importAgain?: Input<string> | undefined;
}

/** What an AMIAccount is made from. */
export interface AMIAccountArgs {
  /** The server that the account is on; `server.connection`. */
  server: Input<unknown>;
  /** The section of manager.conf. */
  username: Input<string>;
  /** Default: one is generated, and is the output `password`. Always kept as a secret. */
  secret?: Input<string> | undefined;
  /** A new value makes a new generated secret. */
  rotate?: Input<string> | undefined;
  /** The classes of events. */
  read?: Input<Input<(typeof AMIClasses)[number]>[]> | undefined;
  /** The classes of actions. */
  write?: Input<Input<(typeof AMIClasses)[number]>[]> | undefined;
  /** Addresses that may log in: address, address/bits or address/netmask. */
  permit: Input<Input<string>[]>;
  /** Default: everything, IPv4 and IPv6. */
  deny?: Input<Input<string>[]> | undefined;
  allowMultipleLogin?: Input<boolean> | undefined;
  displayConnects?: Input<boolean> | undefined;
  /** Such as `100ms`. */
  writeTimeout?: Input<string> | undefined;
  eventFilters?: Input<Input<string>[]> | undefined;
  variables?: Input<Record<string, Input<string>>> | undefined;
  /** Why the account needs classes that run code on the server; without it they are refused. */
  privilegedReason?: Input<string> | undefined;
  allowAnyAddress?: Input<boolean> | undefined;
  allowWeakSecret?: Input<boolean> | undefined;
  allowVariables?: Input<boolean> | undefined;
  allowPlaintext?: Input<boolean> | undefined;
  /** Below the configuration directory; default: the first that will do. */
  file?: Input<string> | undefined;
  deletionPolicy?: Input<"Restore" | "Retain"> | undefined;
  /** What becomes of an account of that name that is there already and differs. Default: Fail. */
  onConflict?: Input<"Fail" | "TakeProgram"> | undefined;
}

/** What a ConfFile is made from. Without content and sections it is read: so it is where Asterisk is the source. */
export interface ConfFileArgs {
  /** The server that the file is on; `server.connection`. */
  server: Input<unknown>;
  /** Below the configuration directory. */
  path: Input<string>;
  /** The whole file. `@{secret:name/key}` is filled in from `secrets`. */
  content?: Input<string> | undefined;
  /** Parts of a file that others own. */
  sections?:
    | Input<
        Input<{
          name: Input<string>;
          /** Variables as they stand in the file, one a line. */
          lines: Input<string>;
          /** The whole section is owned. */
          exclusive?: Input<boolean> | undefined;
        }>[]
      >
    | undefined;
  /** What `@{secret:name/key}` stands for. Always kept as secrets. */
  secrets?: Input<Record<string, Input<Record<string, Input<string>>>>> | undefined;
  /** Default: Restore what was there before. */
  deletionPolicy?: Input<"Restore" | "Retain"> | undefined;
  /** What becomes of a file that is there already and differs. Default: Fail. */
  onConflict?: Input<"Fail" | "TakeProgram"> | undefined;
}
