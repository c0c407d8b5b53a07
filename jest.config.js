import { availableParallelism } from "node:os";
import { join } from "node:path";

// The tests start hundreds of processes of Node, and half of what one costs is to compile the same files again.
process.env["NODE_COMPILE_CACHE"] ??= join(import.meta.dirname, "node_modules", ".cache", "compiled");

/** @type {import("jest").Config} */
export default {
  testMatch: ["**/test/**/*.test.ts"],
  testSequencer: "<rootDir>/test/support/longest-first.js",
  extensionsToTreatAsEsm: [".ts"],
  transform: {
    "\\.ts$": [
      "@swc/jest",
      { jsc: { parser: { syntax: "typescript" }, target: "es2024" }, module: { type: "es6" } },
    ],
  },
  testEnvironment: "node",
  // On a busy machine all takes a multiple of its time; what waits says itself how long.
  testTimeout: 180_000,
  // Most tests wait for servers, not for a processor.
  maxWorkers: availableParallelism() + 2,
  modulePathIgnorePatterns: ["<rootDir>/dist/"],
};
