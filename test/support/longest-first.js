import Sequencer from "@jest/test-sequencer";

/** The files that take a quarter of a minute and more, the longest first: one of them begun last is waited for alone. */
const longest = [
  "cli/bootstrap",
  "engine/kill",
  "docs/readme",
  "operator/crash",
  "cli/guards",
  "cli/accounts",
  "cli/apply",
  "operator/behaviour",
  "operator/git",
  "cli/git",
  "cli/accounts-own",
  "cli/pull-requests",
  "operator/fleet",
  "asterisk/restart",
  "cli/odd-servers",
  "provider/grpc-many",
  "cli/first-contact",
  "cli/accounts-secrets",
  "asterisk/transaction-kill",
  "operator/deletion",
  "operator/faults",
  "lab/kubernetes",
  "provider/grpc",
  "cli/fleet",
  "git/pull-request",
  "cli/watch",
  "engine/calls",
  "cli/active-calls",
  "scripts/plan-pull-request",
].map((name) => `/test/${name}.test.ts`);

/** Begins with the longest files also where Jest has no times of an earlier run, as in a new checkout. */
export default class LongestFirst extends Sequencer {
  sort(tests) {
    const rank = ({ path }) => {
      const index = longest.findIndex((name) => path.endsWith(name));
      return index === -1 ? longest.length : index;
    };
    return super.sort([...tests]).sort((one, other) => rank(one) - rank(other));
  }
}
