import { generateKeyPairSync, randomBytes } from "node:crypto";
import type { ServerSettings } from "./configuration.ts";
import {
  customFiles,
  generatedFiles,
  installedFiles,
  linkedFiles,
  type FreePBXValues,
} from "./freepbx-files.ts";
import { fwconsoleScript } from "./fwconsole.ts";
import type { LayerEntry } from "./layer.ts";
import { labModules, moduleDirectory } from "./modules.ts";

const etc = "/etc/asterisk";
const webModules = "/var/www/html/admin/modules";
const state = "/var/lib/freepbx-lab";

/**
 * The configuration directory as FreePBX lays it out over the package's: links into its modules' folders, generated
 * files, files installed once, the user's own; and outside of it stand-ins for freepbx.conf, amportal.conf and fwconsole.
 */
export async function freepbxEntries(tree: string, settings: ServerSettings): Promise<LayerEntry[]> {
  const values = await newValues(tree, settings);
  const { managerSecret, databasePassword } = values;
  const generated = generatedFiles(values);
  const installed = installedFiles(values, Math.floor(Date.now() / 1000));
  const modules = Object.entries(linkedFiles);
  const links = modules.flatMap(([module, files]) => Object.keys(files).map((file) => ({ module, file })));
  const included = includedNames([generated, installed, ...Object.values(linkedFiles)]);
  const key = generateKeyPairSync("ed25519").privateKey.export({ type: "pkcs8", format: "pem" }).toString();

  return [
    ...[etc, `${etc}/keys`, `${etc}/backup`].map(directory),
    ...modules.flatMap(([module, files]) => filesIn(`${webModules}/${module}/etc`, files)),
    ...links.map(({ module, file }) => link(`${etc}/${file}`, `${webModules}/${module}/etc/${file}`)),
    ...filesIn(etc, {
      ...generated,
      ...installed,
      ...customFiles(values, included),
      "keys/default.key": key,
    }),
    ...filesIn(`${state}/generated`, generated),
    ...filesIn(state, {
      links: links.map(({ module, file }) => `${module} ${file}\n`).join(""),
      manager: `AMPMGRUSER=admin\nAMPMGRPASS=${managerSecret}\n`,
    }),
    { path: "/etc/freepbx.conf", content: freepbxConf(databasePassword), owner: "asterisk", mode: 0o640 },
    { path: "/etc/amportal.conf", content: amportalConf(values), owner: "asterisk", mode: 0o640 },
    { path: "/usr/sbin/fwconsole", content: fwconsoleScript, mode: 0o755 },
    link("/var/lib/asterisk/documentation", "/usr/share/asterisk/documentation"),
    link("/var/lib/asterisk/agi-bin", "/usr/share/asterisk/agi-bin"),
  ];
}

async function newValues(tree: string, settings: ServerSettings): Promise<FreePBXValues> {
  return {
    amiPort: settings.amiPort,
    // UDP: its own numbers, and no other server has this one.
    sipPort: settings.sshPort,
    managerSecret: randomBytes(16).toString("hex"),
    guiSecret: randomBytes(20).toString("hex"),
    databasePassword: randomBytes(16).toString("hex"),
    engine: settings.ami,
    modules: await labModules(tree),
    moduleDirectory: (await moduleDirectory(tree)).slice(tree.length),
  };
}

function includedNames(groups: readonly Record<string, string>[]): string[] {
  const texts = groups.flatMap((files) => Object.values(files));
  return texts.flatMap((text) => [...text.matchAll(/^#include (\S+)$/gm)].map(([, name = ""]) => name));
}

function directory(path: string): LayerEntry {
  return { path, directory: true, owner: "asterisk", mode: 0o775 };
}

function link(path: string, linkTo: string): LayerEntry {
  return { path, linkTo, owner: "asterisk" };
}

function filesIn(folder: string, files: Readonly<Record<string, string>>): LayerEntry[] {
  return Object.entries(files).map(([name, content]) => {
    return { path: `${folder}/${name}`, content, owner: "asterisk", mode: 0o664 };
  });
}

function freepbxConf(databasePassword: string): string {
  return `<?php
$amp_conf["AMPDBUSER"] = "freepbxuser";
$amp_conf["AMPDBPASS"] = "${databasePassword}";
$amp_conf["AMPDBHOST"] = "localhost";
$amp_conf["AMPDBNAME"] = "asterisk";
`;
}

function amportalConf({ managerSecret }: FreePBXValues): string {
  return `AMPMGRUSER=admin
AMPMGRPASS=${managerSecret}
AMPWEBROOT=/var/www/html
ASTETCDIR=/etc/asterisk
ASTRUNDIR=/var/run/asterisk
`;
}
