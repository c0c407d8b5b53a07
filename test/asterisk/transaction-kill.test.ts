import { describeTransactionKills } from "../support/transaction-kills.ts";

/** An even sample: every step is killed by `npm run fuzz -- test/asterisk/transaction-kill.fuzz.ts`. */
describeTransactionKills(3);
