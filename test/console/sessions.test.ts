import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import { Sessions } from "../../console/sessions.ts";
import type { Person } from "../../console/sign-in.ts";

const person = (validForMs: number): Person => ({
  who: "alice",
  validForMs,
  roleOn: () => Promise.resolve("viewer"),
  isStillValid: () => Promise.resolve(true),
});

const begin = (sessions: Sessions, validForMs: number) => {
  const begun = sessions.begin(person(validForMs));
  if (begun === undefined) throw new Error("no session began");
  return begun;
};

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

test("a ticket opens once, and only within thirty seconds", () => {
  const sessions = new Sessions(3_600_000);
  const { session } = begin(sessions, 3_600_000);
  const ticket = sessions.ticket(session, "pbx1");
  jest.advanceTimersByTime(29_000);
  expect(sessions.redeem(session, ticket)).toBe("pbx1");
  expect(sessions.redeem(session, ticket)).toBeUndefined();
  const late = sessions.ticket(session, "pbx1");
  jest.advanceTimersByTime(31_000);
  expect(sessions.redeem(session, late)).toBeUndefined();
});

test("a session ends with its token, and a clock that jumps neither ends nor lengthens it", async () => {
  const sessions = new Sessions(3_600_000);
  const { cookie, session } = begin(sessions, 60_000);
  jest.setSystemTime(Date.now() + 3_600_000);
  const ticket = sessions.ticket(session, "pbx1");
  expect(await sessions.find(cookie)).toMatchObject({ name: session.name });
  expect(sessions.redeem(session, ticket)).toBe("pbx1");
  jest.setSystemTime(Date.now() - 7_200_000);
  jest.advanceTimersByTime(59_000);
  expect(session.ended.aborted).toBe(false);
  jest.advanceTimersByTime(2_000);
  expect(session.ended.aborted).toBe(true);
  expect(await sessions.find(cookie)).toBeUndefined();
});

test("who types nothing is signed out, with a console open or without; typing at one console counts for all", async () => {
  const sessions = new Sessions(60_000);
  const [idle, busy] = [begin(sessions, 3_600_000), begin(sessions, 3_600_000)];
  jest.advanceTimersByTime(50_000);
  sessions.typed(busy.session);
  jest.advanceTimersByTime(50_000);
  expect(idle.session.ended.reason).toBe("Idle");
  expect(await sessions.find(idle.cookie)).toBeUndefined();
  expect(busy.session.ended.aborted).toBe(false);
  jest.advanceTimersByTime(20_000);
  expect(busy.session.ended.reason).toBe("Idle");
});

test("tickets and sessions that are never used do not pile up", () => {
  const sessions = new Sessions(3_600_000);
  const { session } = begin(sessions, 60_000);
  const tickets = Array.from({ length: 20 }, () => sessions.ticket(session, "pbx1"));
  expect(tickets.filter((ticket) => sessions.redeem(session, ticket) !== undefined)).toHaveLength(8);
  for (let count = 1; count < 1000; count++) expect(sessions.begin(person(60_000))).toBeDefined();
  expect(sessions.begin(person(60_000))).toBeUndefined();
  sessions.close();
});
