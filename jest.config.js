import { availableParallelism } from "node:os";

/** @type {import("jest").Config} */
export default {
  testMatch: ["**/test/**/*.test.ts"],
  extensionsToTreatAsEsm: [".ts"],
  transform: {
    "\\.ts$": [
      "@swc/jest",
      { jsc: { parser: { syntax: "typescript" }, target: "es2024" }, module: { type: "es6" } },
    ],
  },
  testEnvironment: "node",
  testTimeout: 60_000,
  // Most tests wait for servers, not for a processor.
  maxWorkers: Math.ceil(availableParallelism() * 1.5),
  modulePathIgnorePatterns: ["<rootDir>/dist/"],
};
