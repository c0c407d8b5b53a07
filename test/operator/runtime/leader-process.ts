// Stands for election with short leases and, while it leads, writes a ConfigMap every 100 ms. Arguments: a kubeconfig,
// its name. Tells on standard output: `stands`, `leads TOKEN`, `wrote`, `refused`, `stopped`.
import { KubeConfig } from "@kubernetes/client-node";
import {
  APIServer,
  kinds,
  LeaderElection,
  ResourceClient,
  systemClock,
  sleep,
  whileLeading,
  type ConfigMap,
} from "../../../operator/runtime/index.ts";

const [file = "", identity = ""] = process.argv.slice(2);
const configuration = new KubeConfig();
configuration.loadFromFile(file);
const api = new APIServer(configuration);
const election = new LeaderElection({
  api,
  namespace: "default",
  name: "election",
  identity,
  leaseMs: 2_000,
  renewMs: 1_500,
  retryMs: 300,
});

const say = (line: string): boolean => process.stdout.write(`${line}\n`);
let count = 0;

say("stands");
await election.run(
  async (term, token) => {
    say(`leads ${token}`);
    const writes = new ResourceClient<ConfigMap>(whileLeading(api, election, term), kinds.configMap);
    let refusals = 0;
    // Goes on after its term, as work that does not look at its signal.
    while (refusals < 3) {
      const metadata = {
        namespace: "default",
        name: `write-${identity}-${count++}`,
        labels: { test: "leader" },
      };
      try {
        await writes.create({ metadata, data: { token: String(token) } });
        say("wrote");
      } catch {
        refusals++;
        say("refused");
      }
      await sleep(systemClock, 100);
    }
  },
  () => say("stopped"),
);
