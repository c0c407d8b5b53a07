import { describeKills } from "../support/kill-suite.ts";

/** Every step, unless KILL_STRIDE says that every so many are enough. */
describeKills(Number(process.env["KILL_STRIDE"] ?? 1));
