import { stringify } from "yaml";
import { RecordKey, contentHash, formatImportRecord } from "../../core/record.ts";
import type { ImportRecord } from "../../core/record.ts";
import { formatServerRecord } from "../../core/server-record.ts";

/** What a repository has of a server `pbx` that was imported once: enough to plan without it. */
export const recordKeyBytes = Buffer.alloc(32, 7);
const key = new RecordKey(recordKeyBytes);

/** The manifest of a server; `source` is relative to it. */
export function pbxManifest(source: object = { directory: "pbx" }, name = "pbx"): string {
  return stringify({
    apiVersion: "asterisk-iac.dev/v1alpha1",
    kind: "AsteriskServer",
    metadata: { name },
    spec: {
      ssh: { host: `${name}.example.com`, user: "admin" },
      ami: { credentialsSecretRef: { name: `${name}-ami` } },
      updateDirection: "ToAsterisk",
      source,
    },
  });
}

/** A record as an import of these files makes it. */
export function pbxImport(files: Readonly<Record<string, string>>): string {
  const record: ImportRecord = {
    version: 1,
    server: "pbx",
    state: "Done",
    startedAt: "2026-01-01T00:00:00.000Z",
    asteriskVersion: "22.1.0",
    generation: 0,
    identity: key.identity("machine", "/etc/asterisk"),
    keyCheck: key.check,
    files: Object.fromEntries(
      Object.entries(files).map(([path, text]) => {
        const hash = key.recorded(contentHash(Buffer.from(text)));
        return [
          path,
          { outcome: "Stored", hash, size: text.length, mode: "0640", owner: "asterisk:asterisk" },
        ];
      }),
    ),
  };
  return formatImportRecord(record);
}

/** What Asterisk said of itself at the import. */
export const pbxServer = formatServerRecord({
  version: 1,
  seenAt: "2026-01-01T00:00:00.000Z",
  asteriskVersion: "22.1.0",
  configDirectory: "/etc/asterisk",
  directories: { "": true },
  modules: { loaded: ["app_queue.so", "res_pjsip.so"], readBy: {}, mappings: [] },
});
