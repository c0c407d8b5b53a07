import { openSession } from "../../engine/session.ts";
import type { KubernetesAPI } from "../../operator/runtime/index.ts";

/**
 * Ends an operator in this process at one of its steps, as a kill would: from then on nothing that it does reaches
 * anybody. A step is a call of the API or a script on a server; odd ones end it before they are sent, even ones before
 * their answer is heard.
 */
export class Lifeline {
  readonly #at: number;
  readonly #steps: string[] = [];
  #isCut = false;

  constructor(at: number) {
    this.#at = at;
  }

  /** What was done so far, the step at which it ended included. */
  get steps(): readonly string[] {
    return this.#steps;
  }

  get isCut(): boolean {
    return this.#isCut;
  }

  /** The API as the operator that hangs on this has it. */
  api(api: KubernetesAPI): KubernetesAPI {
    return {
      stream: (request) => api.stream(request),
      request: (request) => {
        const isList = request.method === "GET" && request.query !== undefined;
        const what = `${request.method} ${request.path}`;
        return isList ? api.request(request) : this.#step(what, () => api.request(request));
      },
    };
  }

  readonly openSession: typeof openSession = async (...declared) => {
    const session = await openSession(...declared);
    const { host } = session;
    return {
      ...session,
      host: {
        run: (script, options) => this.#step("script", () => host.run(script, options)),
        connectTCP: (name, port) => host.connectTCP(name, port),
        get roundTrips() {
          return host.roundTrips;
        },
        close: () => host.close(),
      },
    };
  };

  async #step<T>(what: string, work: () => Promise<T>): Promise<T> {
    this.#refuseIfCut();
    this.#steps.push(what);
    const isDue = this.#steps.length === this.#at;
    if (isDue && this.#at % 2 === 1) this.#isCut = true;
    this.#refuseIfCut();
    const answer = await work();
    if (isDue) this.#isCut = true;
    this.#refuseIfCut();
    return answer;
  }

  #refuseIfCut(): void {
    if (this.#isCut) throw new Error("the operator was ended by the test");
  }
}
