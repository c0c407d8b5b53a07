/**
 * Why Asterisk would misread a field of an AMI account, or undefined where it takes it as written. No message holds
 * the value.
 */
import { ipv4Mapped, parseAddress } from "../conf/lint/address.ts";
import { parseACL } from "../conf/lint/acl.ts";
import { eventFilterProblem as problemOfEventFilter } from "../conf/lint/event-filter.ts";

/** The longest value that we write; a line of a .conf file ends after 8190 bytes, a setvar after 255. */
const longest = 255;

/** Of any text that becomes the value of a variable in a .conf file. */
export function textProblem(text: string): string | undefined {
  if (/[\0-\x1f\x7f]/.test(text)) return "holds a line break, a NUL or another control character";
  if (text !== text.trim()) return "begins or ends with a blank, which Asterisk would cut off";
  if (text.startsWith(">")) return "begins with `>`, which would become part of the operator `=>`";
  if (text.includes("--;") || text.includes(";--")) {
    return "holds `;--` or `--;`, which begin and end comments in a .conf file";
  }
  if (Buffer.byteLength(text) > longest) return `has more than ${String(longest)} bytes`;
  return undefined;
}

/** Of an entry of `permit` or `deny`. */
export function addressProblem(text: string): string | undefined {
  const problem = textProblem(text);
  if (problem !== undefined) return problem;
  if (text.includes("#")) return "holds a `#`, which starts no comment: Asterisk would delete the account";
  if (text.includes(";")) return "holds a `;`, which starts a comment";
  if (text.includes(",")) return "holds a comma: write each address as an entry of its own";
  if (text.startsWith("!")) return "begins with `!`: write the address under the opposite key";
  const slash = text.indexOf("/");
  const host = slash < 0 ? text : text.slice(0, slash);
  const mask = slash < 0 ? undefined : text.slice(slash + 1);
  if (!isPlainAddress(host)) {
    return "is not a numeric address, address/bits or address/netmask; Asterisk looks up no names here";
  }
  const refused = parseACL("permit", text).problem;
  if (refused !== undefined)
    return `is refused by Asterisk, which would delete the account: ${refused.reason}`;
  if (mask === undefined) return undefined;
  if (/[.:]/.test(mask)) return isNetmask(mask) ? undefined : "has a netmask whose bits are not in one run";
  return /^\d{1,3}$/.test(mask) ? undefined : "has a mask that is no number of bits";
}

// Asterisk reads `10.1` and `010.0.0.1` too, as other addresses than most people do.
function isPlainAddress(host: string): boolean {
  const parsed = parseAddress(host, "forbid");
  if (parsed === undefined || /[[\]%]/.test(host)) return false;
  if (parsed.length === 4) return host === parsed.join(".");
  return ipv4Mapped(parsed).length === 16;
}

function isNetmask(text: string): boolean {
  const bytes = isPlainAddress(text) ? parseAddress(text, "forbid") : undefined;
  const bits = bytes?.map((byte) => byte.toString(2).padStart(8, "0")).join("");
  return bits !== undefined && !bits.includes("01");
}

/** Of an event filter. */
export function eventFilterProblem(text: string): string | undefined {
  return textProblem(text) ?? problemOfEventFilter("eventfilter", text);
}

/** Of a channel variable that the account's calls get: setvar takes 255 bytes of `NAME=value`. */
export function variableProblem(name: string, value: string): string | undefined {
  if (!/^[A-Za-z0-9_][A-Za-z0-9_.-]*(\([A-Za-z0-9_.,:@/-]*\))?$/.test(name)) {
    return "is not the name of a channel variable, or of a function such as CDR(accountcode)";
  }
  const problem = textProblem(value);
  if (problem !== undefined) return problem;
  return Buffer.byteLength(`${name}=${value}`) > 255
    ? "has more than 255 bytes with its name, of which Asterisk would cut off the rest"
    : undefined;
}
