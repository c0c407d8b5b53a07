import { expect, test } from "@jest/globals";
import { newRequests, requestAnnotation, withHandled } from "../../../operator/runtime/annotations.ts";

const at = (verb: string): string => `asterisk-iac.dev/${verb}-requested-at`;

test("what was not handled yet is new, in the order in which it is done", () => {
  const annotations = {
    [at("restart")]: "2",
    [at("test")]: "1",
    [at("reload")]: "9",
    [at("dance")]: "1",
    other: "x",
  };
  expect(newRequests(annotations, { reload: "9", restart: "1" })).toEqual([
    { verb: "test", requestedAt: "1" },
    { verb: "restart", requestedAt: "2" },
  ]);
});

test("once stored as handled it is not new again, until it is asked for again", () => {
  const annotations = { [requestAnnotation("restart")]: "2026-01-01T00:00:00Z" };
  const [request] = newRequests(annotations, undefined);
  if (request === undefined) throw new Error("no request");
  const handled = withHandled({ test: "1" }, request);
  expect(handled).toEqual({ test: "1", restart: "2026-01-01T00:00:00Z" });
  expect(newRequests(annotations, handled)).toEqual([]);
  expect(newRequests({ [requestAnnotation("restart")]: "later" }, handled)).toHaveLength(1);
});

test("none without annotations, and an empty value asks for nothing", () => {
  expect(newRequests(undefined, undefined)).toEqual([]);
  expect(newRequests({ [at("upload")]: "" }, {})).toEqual([]);
});
