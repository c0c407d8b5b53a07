import { describeTransactionKills } from "../support/transaction-kills.ts";

describeTransactionKills(1);
