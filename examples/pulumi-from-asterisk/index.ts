/**
 * A telephone system that somebody configures on the server itself, in FreePBX for example. Its files are collected into
 * `collected/`, to look at and to commit, and the program reads what it needs of them. Nothing is written to the server.
 */
import * as pulumi from "@pulumi/pulumi";
import { AsteriskServer, ConfFile } from "asterisk-iac";

const config = new pulumi.Config();

const pbx = new AsteriskServer("pbx", {
  ssh: {
    host: config.require("host"),
    port: config.getNumber("port"),
    user: config.require("user"),
    become: config.get("become"),
    privateKey: config.requireSecret("privateKey"),
    knownHosts: config.require("knownHosts"),
  },
  ami: {
    host: config.get("amiHost"),
    port: config.getNumber("amiPort"),
    username: config.require("amiUsername"),
    password: config.requireSecret("amiPassword"),
  },
  updateDirection: "FromAsterisk",
  source: { directory: "collected" },
});

// Without content and sections a file is read.
const dialplan = new ConfFile("dialplan", { server: pbx, path: "extensions.conf" });

export const filesCollected = pbx.initialImport.files.apply((files) => Object.keys(files).length);
/** A view may show what nobody should read in a log, so it is a secret; the contexts' names are none. */
export const contexts = pulumi.unsecret(
  dialplan.effectiveView.apply((sections) =>
    sections.map(({ name }) => name).filter((name) => name !== "general" && name !== "globals"),
  ),
);
