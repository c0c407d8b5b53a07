import { describe, expect, test } from "@jest/globals";
import { groupCDRs, parseCDRs } from "../../calls/cdr-csv.ts";
import { recordContext } from "../../calls/record-context.ts";
import { recoveredCall } from "../../calls/recovered.ts";
import { telephonySpec } from "../support/telephony.ts";

const context = recordContext("pbx1", {
  ...telephonySpec,
  numbers: { ...telephonySpec.numbers, callerFormat: "National" },
});

interface Row {
  readonly source?: string;
  readonly destination?: string;
  readonly channel?: string;
  readonly to?: string;
  readonly start: string;
  readonly answer?: string;
  readonly seconds: number;
  readonly billed?: number;
  readonly disposition?: string;
  readonly id: string;
  readonly more?: string;
}

/** A line as cdr_csv writes it. */
function line(row: Row): string {
  const { source = "01701234567", destination = "101", channel = "PJSIP/carrier-00000001", more = "" } = row;
  const { to = "PJSIP/101-00000002", start, answer = "", disposition = "ANSWERED" } = row;
  const values = ["", source, destination, "inside", `"B ""o"" b" <${source}>`, channel, to, "Dial", "x,3"];
  const quoted = [...values, start, answer, start].map((value) => `"${value.replaceAll('"', '""')}"`);
  return `${quoted.join(",")},${row.seconds},${row.billed ?? 0},"${disposition}","DOCUMENTATION","${row.id}",""${more}\n`;
}

const second = (utc: string): string => `${Date.parse(utc) / 1000}`;
const at = (utc: string): number => Date.parse(utc) * 1000;

describe("times", () => {
  test.each([
    ["GMT", "2026-07-01 10:00:00"],
    ["local", "2026-07-01 12:00:00"],
  ])("the ids tell that they are %s", (_, start) => {
    const id = `${second("2026-07-01T10:00:00Z")}.7`;
    const [row] = parseCDRs(line({ start, answer: start, seconds: 8, billed: 5, id }), "Europe/Berlin");
    expect(row).toMatchObject({
      start: at("2026-07-01T10:00:00Z"),
      answer: at("2026-07-01T10:00:03Z"),
      end: at("2026-07-01T10:00:08Z"),
      isAmbiguous: false,
    });
  });

  test("a local time that comes twice is told by the id", () => {
    const read = (utc: string) =>
      parseCDRs(
        line({ start: "2026-10-25 02:30:00", seconds: 8, id: `${second(utc)}.7` }),
        "Europe/Berlin",
      )[0];
    expect(read("2026-10-25T01:30:00Z")).toMatchObject({
      start: at("2026-10-25T01:30:00Z"),
      isAmbiguous: false,
    });
  });

  test("where the id is older than both, it is marked", () => {
    const id = `${second("2026-10-24T22:00:00Z")}.7`;
    const rows =
      line({ start: "2026-10-25 00:00:00", seconds: 9000, id }) +
      line({ start: "2026-10-25 02:30:00", seconds: 8, id });
    const cdrs = parseCDRs(rows, "Europe/Berlin");
    expect(cdrs.map(({ isAmbiguous }) => isAmbiguous)).toEqual([false, true]);
    expect(recoveredCall(cdrs, context).unknown).toEqual(expect.arrayContaining(["start", "end"]));
  });
});

test("rows without an id, and what is no row, are left out", () => {
  const good = line({ start: "2026-07-01 10:00:00", seconds: 1, id: `${second("2026-07-01T10:00:00Z")}.7` });
  const bad = line({ start: "2026-07-01 10:00:00", seconds: 1, id: "" });
  expect(parseCDRs(`${bad}nonsense\n\n${good}`, "UTC").map(({ uniqueID }) => uniqueID)).toHaveLength(1);
});

describe("rows of one call", () => {
  const start = "2026-07-01 10:00:00";
  const epoch = second("2026-07-01T10:00:00Z");
  const local = "Local/101@inside-00000001";

  test("those of one id, of one Linkedid and of both halves of a Local channel", () => {
    const rows = parseCDRs(
      line({ start, seconds: 2, id: `${epoch}.1`, to: `${local};1` }) +
        line({ start, seconds: 2, id: `${epoch}.3`, channel: `${local};2` }) +
        line({ start, seconds: 5, id: `${epoch}.1` }) +
        line({ start, seconds: 1, id: `${epoch}.9` }) +
        line({ start, seconds: 1, id: `${epoch}.20`, more: `,"","${epoch}.19","4"` }) +
        line({ start, seconds: 1, id: `${epoch}.21`, more: `,"","${epoch}.19","5"` }),
      "UTC",
    );
    expect(
      groupCDRs(rows).map((group) => group.map(({ uniqueID }) => uniqueID.split(".")[1]).sort()),
    ).toEqual([["1", "1", "3"], ["9"], ["20", "21"]]);
  });

  test.each([
    ["ANSWERED", "PJSIP/101-00000002", "Answered"],
    ["ANSWERED", "", "AnsweredBySystem"],
    ["NO ANSWER", "PJSIP/101-00000002", "NotAnswered"],
    ["BUSY", "PJSIP/101-00000002", "Busy"],
    ["CONGESTION", "", "Congestion"],
    ["FAILED", "", "Failed"],
  ])("%s to %p is %s", (disposition, to, expected) => {
    const [row] = parseCDRs(
      line({ start, seconds: 2, billed: 1, answer: start, id: `${epoch}.1`, to, disposition }),
      "UTC",
    );
    expect(row).toBeDefined();
    const record = recoveredCall(row === undefined ? [] : [row], context);
    expect(record).toMatchObject({ source: "CDR", disposition: expected, durationSeconds: 2 });
    expect(record.answer === null).toBe(expected !== "Answered");
  });

  test("a caller from outside is not shown: no CDR says whether the number is withheld", () => {
    const rows = parseCDRs(line({ start, seconds: 2, id: `${epoch}.1` }), "UTC");
    const record = recoveredCall(rows, context);
    expect(JSON.stringify(record)).not.toMatch(/1701234567|B .*o/);
    expect(record.unknown).toContain("caller");
    const own = parseCDRs(
      line({ start, seconds: 2, id: `${epoch}.1`, channel: "PJSIP/102-00000001", source: "102" }),
      "UTC",
    );
    expect(recoveredCall(own, context).caller).toMatchObject({ number: "102", kind: "Extension" });
  });
});
