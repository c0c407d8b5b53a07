import type { ObservedClock } from "../../engine/calls/clock.ts";
import { noticeableMs } from "../../engine/calls/lines.ts";
import type { Paint } from "../terminal.ts";
import { printable } from "../terminal.ts";

/** What is wrong with a server's clock and zone, a line each; nothing where they are right. */
export function clockText(
  { aheadMs, uncertainMs, differences }: Pick<ObservedClock, "aheadMs" | "uncertainMs" | "differences">,
  paint: Paint,
): string[] {
  const isOff = Math.abs(aheadMs) > noticeableMs + uncertainMs;
  const texts = [...(isOff ? [skewText(aheadMs)] : []), ...differences];
  return texts.map((text) => `${paint("yellow", "clock:")} ${printable(text)}`);
}

/** A server's clock beside ours, in words. */
export function skewText(aheadMs: number): string {
  return `${(Math.abs(aheadMs) / 1000).toFixed(1)} s ${aheadMs < 0 ? "behind" : "ahead of"} ours`;
}
