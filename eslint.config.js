import js from "@eslint/js";
import tseslint from "typescript-eslint";

/** Imports point one way: fronts → engine → asterisk, git, calls → core → core/conf, never up or sideways. */
const fronts = ["provider", "operator", "console", "cli", "lab"];
const mayUse = { cli: ["console", "lab"], operator: ["console"] };
const sides = ["asterisk", "git", "calls"];
const forbid = (room, targets) => ({
  files: [`${room}/**/*.ts`],
  ...(room === "core" ? { ignores: ["core/conf/**"] } : {}),
  rules: {
    "no-restricted-imports": [
      "error",
      {
        patterns: targets.map((target) => ({
          regex: `^(\\.\\./)+${target}/`,
          message: `${room} does not know ${target}: imports point one way (see docs/design.md).`,
        })),
      },
    ],
  },
});

/** Forbids imports that climb out of a room, from files that stand `depth` folders below its door. */
const climbs = (files, depth) => ({
  files: [files],
  rules: {
    "no-restricted-imports": [
      "error",
      { patterns: [{ regex: `^(\\.\\./){${depth},}`, message: "core/conf knows nothing outside itself." }] },
    ],
  },
});

export default tseslint.config(
  { ignores: ["dist/", "node_modules/", "coverage/"] },
  js.configs.recommended,
  ...tseslint.configs.strict,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    files: ["**/*.ts"],
    rules: {
      "@typescript-eslint/no-floating-promises": "error",
      "@typescript-eslint/no-misused-promises": "error",
      "@typescript-eslint/switch-exhaustiveness-check": "error",
      "@typescript-eslint/consistent-type-imports": "error",
      "no-control-regex": "off",
    },
  },
  { files: ["**/*.{js,mjs}"], languageOptions: { globals: { console: "readonly", process: "readonly" } } },
  // core/conf knows nothing outside itself, at whatever depth it stands.
  climbs("core/conf/*.ts", 1),
  climbs("core/conf/*/*.ts", 2),
  forbid("core", [...sides, "engine", ...fronts]),
  ...sides.map((side) => forbid(side, [...sides.filter((other) => other !== side), "engine", ...fronts])),
  forbid("engine", fronts),
  ...fronts.map((front) =>
    forbid(
      front,
      fronts.filter((other) => other !== front && !(mayUse[front] ?? []).includes(other)),
    ),
  ),
);
