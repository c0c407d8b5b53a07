import { describeKills } from "../support/kill-suite.ts";

/** An even sample: all of them, some two thousand, are killed by `npm run fuzz -- test/engine/kill.fuzz.ts`. */
describeKills(75);
