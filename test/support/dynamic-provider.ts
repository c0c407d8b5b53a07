import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { createRequire } from "node:module";
import { once } from "node:events";
import type { Kind, SerializedProviders } from "./pulumi-program.ts";

const require = createRequire(import.meta.url);
const { credentials } = require("@grpc/grpc-js") as { credentials: { createInsecure(): unknown } };
const { ResourceProviderClient } = require("@pulumi/pulumi/proto/provider_grpc_pb") as Record<string, never>;
const messages = require("@pulumi/pulumi/proto/provider_pb") as Record<string, new () => Message>;
const { Struct } = require("google-protobuf/google/protobuf/struct_pb") as {
  Struct: { fromJavaScript(value: unknown): Message };
};

/** What the stubs are, as far as they are used here: they have no types of their own. */
type Message = Record<string, (value?: unknown) => never>;
type Call = (request: Message, callback: (error: Error | null, answer: Message) => void) => void;

export type Properties = Record<string, unknown>;

export interface State {
  readonly id: string;
  readonly props: Properties;
}

/** Pulumi's own process for dynamic providers, driven as the engine drives it. */
export class DynamicProvider {
  readonly process: ChildProcess;
  readonly #client: Record<string, Call>;
  readonly #providers: SerializedProviders;
  /** Everything that the process printed as errors. */
  stderr = "";

  private constructor(process: ChildProcess, port: number, providers: SerializedProviders) {
    this.process = process;
    this.#providers = providers;
    const Client = ResourceProviderClient as unknown as new (...args: unknown[]) => Record<string, Call>;
    const sizes = { "grpc.max_receive_message_length": -1, "grpc.max_send_message_length": -1 };
    this.#client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), sizes);
    process.stderr?.setEncoding("utf8").on("data", (text: string) => (this.stderr += text));
  }

  /** Starts it in a program's directory. */
  static async start(
    directory: string,
    providers: SerializedProviders,
    env: Readonly<Record<string, string>> = {},
  ): Promise<DynamicProvider> {
    const main = require.resolve("@pulumi/pulumi/cmd/dynamic-provider");
    const child = spawn(process.execPath, [main, "127.0.0.1:0"], {
      cwd: directory,
      env: { ...process.env, NODE_NO_WARNINGS: "1", ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const [line] = (await once(child.stdout, "data")) as [Buffer];
    const provider = new DynamicProvider(child, Number(line.toString().trim()), providers);
    const request = new (messages["ConfigureRequest"] as new () => Message)();
    request["setArgs"]?.(Struct.fromJavaScript({}));
    await provider.#call("configure", request);
    return provider;
  }

  async check(
    kind: Kind,
    news: Properties,
    olds: Properties = {},
  ): Promise<{ inputs: Properties; failures: { property: string; reason: string }[] }> {
    const answer = await this.#ask("check", kind, { setOlds: olds, setNews: news });
    const failures = (answer["getFailuresList"]?.() ?? []) as Message[];
    return {
      inputs: own(struct(answer["getInputs"]?.())),
      failures: failures.map((failure) => ({
        property: String(failure["getProperty"]?.()),
        reason: String(failure["getReason"]?.()),
      })),
    };
  }

  async diff(
    kind: Kind,
    { id, props }: State,
    news: Properties,
  ): Promise<{ changes: boolean; replaces: string[]; deleteBeforeReplace: boolean }> {
    const answer = await this.#ask("diff", kind, { setOlds: props, setNews: news }, id);
    return {
      // 1: DIFF_NONE, 2: DIFF_SOME
      changes: Number(answer["getChanges"]?.()) !== 1,
      replaces: (answer["getReplacesList"]?.() ?? []) as string[],
      deleteBeforeReplace: Boolean(answer["getDeletebeforereplace"]?.()),
    };
  }

  /** `check` and then `create`, as in an `up`. Throws what either has against it. */
  async create(kind: Kind, inputs: Properties): Promise<State> {
    const checked = await this.checked(kind, inputs);
    const answer = await this.#ask("create", kind, { setProperties: checked });
    return { id: String(answer["getId"]?.()), props: own(struct(answer["getProperties"]?.())) };
  }

  async read(kind: Kind, { id, props }: State): Promise<State> {
    const answer = await this.#ask("read", kind, { setProperties: props }, id);
    return { id: String(answer["getId"]?.()), props: own(struct(answer["getProperties"]?.())) };
  }

  async update(kind: Kind, { id, props }: State, inputs: Properties): Promise<State> {
    const checked = await this.checked(kind, inputs, props);
    const answer = await this.#ask("update", kind, { setOlds: props, setNews: checked }, id);
    return { id, props: own(struct(answer["getProperties"]?.())) };
  }

  async delete(kind: Kind, { id, props }: State): Promise<void> {
    await this.#ask("delete", kind, { setProperties: props }, id);
  }

  /** The inputs as `check` leaves them. Throws its failures. */
  async checked(kind: Kind, inputs: Properties, olds: Properties = {}): Promise<Properties> {
    const { inputs: checked, failures } = await this.check(kind, inputs, olds);
    if (failures.length > 0) throw new Error(failures.map(({ reason }) => reason).join("\n"));
    return checked;
  }

  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    this.#client["close"]?.(undefined as never, undefined as never);
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const ended = once(this.process, "exit");
    this.process.kill(signal);
    await ended;
  }

  async #ask(method: string, kind: Kind, structs: Record<string, Properties>, id?: string): Promise<Message> {
    const name = `${method[0]?.toUpperCase() ?? ""}${method.slice(1)}Request`;
    const request = new (messages[name] as new () => Message)();
    for (const [set, properties] of Object.entries(structs))
      request[set]?.(Struct.fromJavaScript({ ...properties, __provider: this.#providers[kind] }));
    if (id !== undefined) request["setId"]?.(id);
    return this.#call(method, request);
  }

  #call(method: string, request: Message): Promise<Message> {
    const { promise, resolve, reject } = Promise.withResolvers<Message>();
    this.#client[method]?.(request, (error, answer) => (error === null ? resolve(answer) : reject(error)));
    return promise;
  }
}

function struct(message: unknown): Properties {
  return ((message as Message)["toJavaScript"]?.() ?? {}) as Properties;
}

function own(properties: Properties): Properties {
  return Object.fromEntries(Object.entries(properties).filter(([key]) => key !== "__provider"));
}
