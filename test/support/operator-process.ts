import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { operatorNamespace } from "./operator-account.ts";

/** An operator as a process of its own. */
export interface OperatorProcess {
  /** Resolves once its log holds a line with that text; rejects if it ends before. */
  says(text: string): Promise<void>;
  /** Resolves once it has ended, to the signal that ended it. */
  readonly ended: Promise<string | null>;
  kill(signal: "SIGKILL" | "SIGTERM" | "SIGSTOP" | "SIGCONT"): void;
  readonly log: readonly string[];
}

const main = new URL("../../operator/main.ts", import.meta.url).pathname;
const hook = new URL("kill-hook.ts", import.meta.url).href;

export interface OperatorProcessOptions {
  readonly kubeconfig: string;
  /** The only one that is watched; default: all. */
  readonly namespace?: string;
  /** The Lease; two with one name are replicas of each other. */
  readonly lease: string;
  /** Default 2 s: a leader that the machine leaves without a turn for most of it loses its term. */
  readonly leaseDuration?: string;
  /** The step, counted by the process itself (see kill-hook.ts), at which it is killed by SIGKILL. */
  readonly killAt?: number;
  /** A file that is told where it was killed. */
  readonly report?: string;
  /** Where repositories are kept. */
  readonly gitCache?: string;
  /** `host:port` to receive webhooks on. */
  readonly webhook?: string;
  /** `host:port` to serve the web console on. */
  readonly console?: string;
  /** Of /metrics; default: none. */
  readonly metricsPort?: number;
}

export function startOperatorProcess(options: OperatorProcessOptions): OperatorProcess {
  const { kubeconfig, namespace, lease, killAt, report, gitCache, webhook, console } = options;
  const { metricsPort = 0, leaseDuration = "2s" } = options;
  const child = spawn(
    process.execPath,
    [
      ...["--disable-warning=ExperimentalWarning", main, "--kubeconfig", kubeconfig],
      ...(namespace === undefined ? [] : ["--namespace", namespace]),
      ...["--lease-namespace", operatorNamespace, "--lease", lease, "--lease-duration", leaseDuration],
      ...(gitCache === undefined ? [] : ["--git-cache", gitCache]),
      ...(webhook === undefined ? [] : ["--webhook-listen", webhook]),
      ...(console === undefined ? [] : ["--console-listen", console]),
      ...["--metrics-port", String(metricsPort), "--health-port", "0"],
    ],
    {
      env: {
        ...process.env,
        ...(killAt === undefined
          ? { NODE_OPTIONS: "" }
          : {
              NODE_OPTIONS: `--import ${hook}`,
              KILL_AT: String(killAt),
              KILL_REPORT: report ?? "/dev/null",
            }),
      },
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  const log: string[] = [];
  const lines = createInterface(child.stdout).on("line", (line) => log.push(line));
  createInterface(child.stderr).on("line", (line) => log.push(line));
  const ended = once(child, "exit").then(([, signal]) => signal as string | null);
  return {
    log,
    ended,
    kill: (signal) => void child.kill(signal),
    says: (text) =>
      new Promise((resolve, reject) => {
        const look = (): boolean => log.some((line) => line.includes(text)) && (resolve(), true);
        if (look()) return;
        lines.on("line", look);
        void ended.then(() => reject(new Error(`ended without saying "${text}": ${log.join("\n")}`)));
      }),
  };
}
