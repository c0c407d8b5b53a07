import { z } from "zod";
import type { Role } from "../core/judge/commands.ts";
import type { Person, SignIn } from "./sign-in.ts";

/** Sends a POST to the API server and gives the answer's JSON. Rejects where there is none. */
export type PostToKubernetes = (path: string, body: object) => Promise<unknown>;

/** Only tokens made for the console sign in: one for the API server itself must not be typed into anything else. */
export const consoleAudience = "asterisk-iac-console";

/** Verbs on `asteriskservers/console` of the group `asterisk-iac.dev`, for RBAC; the highest that is allowed counts. */
const verbs: readonly (readonly [Role, string])[] = [
  ["admin", "administer"],
  ["operator", "operate"],
  ["viewer", "view"],
];

const recheckMs = 60_000;
const longestMs = 12 * 3600 * 1000;

const tokenReview = z.object({
  status: z.object({
    authenticated: z.boolean().optional(),
    audiences: z.array(z.string()).optional(),
    user: z
      .object({
        username: z.string().optional(),
        uid: z.string().optional(),
        groups: z.array(z.string()).optional(),
        extra: z.record(z.string(), z.array(z.string())).optional(),
      })
      .optional(),
  }),
});
const accessReview = z.object({ status: z.object({ allowed: z.boolean() }) });

type User = NonNullable<z.infer<typeof tokenReview>["status"]["user"]>;

/**
 * Signing in with a token of Kubernetes (`kubectl create token NAME --audience asterisk-iac-console`): the API server says
 * whose it is (TokenReview) and what that person may do on each server (SubjectAccessReview). Servers are named
 * `<namespace>/<name>`. Needs `create` on tokenreviews and subjectaccessreviews.
 */
export class KubernetesSignIn implements SignIn {
  readonly prompt = `A token of \`kubectl create token NAME --audience ${consoleAudience}\``;
  readonly isLocal = false;
  readonly #post: PostToKubernetes;

  constructor(post: PostToKubernetes) {
    this.#post = post;
  }

  async signIn(secret: string): Promise<Person | undefined> {
    // A bearer token (RFC 6750); anything else is not even sent.
    if (!/^[A-Za-z0-9._~+/-]{16,8192}=*$/.test(secret)) return undefined;
    const user = await this.#review(secret);
    if (user === undefined) return undefined;
    let checked = performance.now();
    return {
      who: user.username ?? "?",
      validForMs: longestMs,
      roleOn: (server) => this.#roleOn(user, server),
      isStillValid: async () => {
        if (performance.now() - checked < recheckMs) return true;
        checked = performance.now();
        return (await this.#review(secret))?.uid === user.uid;
      },
    };
  }

  async #review(token: string): Promise<User | undefined> {
    const answer = await this.#post("/apis/authentication.k8s.io/v1/tokenreviews", {
      apiVersion: "authentication.k8s.io/v1",
      kind: "TokenReview",
      spec: { token, audiences: [consoleAudience] },
    });
    const { authenticated, audiences, user } = tokenReview.parse(answer).status;
    // An authenticator that knows no audiences names none: its tokens are the API server's own.
    return authenticated === true && audiences?.includes(consoleAudience) === true ? user : undefined;
  }

  async #roleOn(user: User, server: string): Promise<Role | undefined> {
    const [namespace, name, ...others] = server.split("/");
    if (namespace === undefined || name === undefined || others.length > 0) return undefined;
    const allowed = await Promise.all(
      verbs.map(async ([, verb]) => {
        const answer = await this.#post("/apis/authorization.k8s.io/v1/subjectaccessreviews", {
          apiVersion: "authorization.k8s.io/v1",
          kind: "SubjectAccessReview",
          spec: {
            user: user.username,
            uid: user.uid,
            groups: user.groups,
            extra: user.extra,
            resourceAttributes: {
              group: "asterisk-iac.dev",
              resource: "asteriskservers",
              subresource: "console",
              ...{ namespace, name, verb },
            },
          },
        });
        return accessReview.parse(answer).status.allowed;
      }),
    );
    return verbs[allowed.indexOf(true)]?.[0];
  }
}
