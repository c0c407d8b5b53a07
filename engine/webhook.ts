import { randomBytes } from "node:crypto";
import type { WebhookReceiver } from "../git/webhook.ts";
import { receiveWebhooks } from "../git/webhook.ts";
import type { GitSources } from "./git-source.ts";
import type { SecretStore } from "./secrets.ts";

export type { WebhookReceiver } from "../git/webhook.ts";

/** What forges sign with; the same secret can have `webhook-tls.crt` and `webhook-tls.key`, in PEM. */
export const webhookSecret = { name: "asterisk-iac", key: "webhook-secret" };

/**
 * Receives webhooks for the repositories that servers are read from: each push makes its repository be asked at once. The
 * secret is made where there is none. Rejects as `receiveWebhooks` does, and with `SecretMissing`.
 */
export async function serveWebhook(
  address: { readonly host: string; readonly port: number },
  secrets: SecretStore,
  sources: Pick<GitSources, "look">,
): Promise<WebhookReceiver> {
  const { name, key } = webhookSecret;
  const readSecret = async (): Promise<string> => {
    const value = await secrets.readOrCreate(name, key, () => Buffer.from(randomBytes(32).toString("hex")));
    return value.toString("utf8").trim();
  };
  await readSecret();
  const own = await secrets.read(name);
  const [certificate, tlsKey] = ["webhook-tls.crt", "webhook-tls.key"].map((file) =>
    own.get(file)?.toString("utf8"),
  );
  return receiveWebhooks({
    ...address,
    secret: readSecret,
    onPush: (isMeant) => void sources.look(isMeant),
    ...(certificate === undefined || tlsKey === undefined ? {} : { tls: { certificate, key: tlsKey } }),
  });
}
