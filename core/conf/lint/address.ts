/**
 * Which addresses Asterisk accepts. It hands them to getaddrinfo with AI_NUMERICHOST (main/netsock2.c,
 * ast_sockaddr_parse), so the forms of inet_aton are addresses too: `10.1`, `0x7f.1`, `1`.
 */

/** A numeric address in network byte order: 4 bytes for IPv4, 16 for IPv6. */
export type Address = readonly number[];

/** What ast_sockaddr_parse does with a port: `forbid` refuses one, `ignore` cuts it off, `accept` reads it. */
export type PortPolicy = "forbid" | "ignore" | "accept";

/** The address that Asterisk reads in `text`, or undefined where it refuses it. */
export function parseAddress(text: string, port: PortPolicy): Address | undefined {
  const split = splitHostAndPort(text);
  if (split.port !== undefined) {
    if (port === "forbid") return undefined;
    if (port === "accept" && !/^\d{0,5}$/.test(split.port)) return undefined;
  }
  return parseHost(split.host);
}

/** `::` and `0.0.0.0`: the addresses on which a server listens everywhere. */
export function isAnyAddress(address: Address): boolean {
  return ipv4Mapped(address).every((byte) => byte === 0);
}

/** An IPv4-mapped IPv6 address (`::ffff:1.2.3.4`) as IPv4, as Asterisk turns it; any other as it is. */
export function ipv4Mapped(address: Address): Address {
  const mapped =
    address.length === 16 &&
    address.slice(0, 10).every((byte) => byte === 0) &&
    address[10] === 0xff &&
    address[11] === 0xff;
  return mapped ? address.slice(12) : address;
}

// ast_sockaddr_split_hostport: what follows a `]` is ignored, and two colons mean IPv6 without a port.
function splitHostAndPort(text: string): { host: string; port?: string } {
  if (text.startsWith("[")) {
    const end = text.indexOf("]");
    if (end < 0) return { host: text.slice(1) };
    const host = text.slice(1, end);
    return text[end + 1] === ":" ? { host, port: text.slice(end + 2) } : { host };
  }
  const colon = text.indexOf(":");
  if (colon < 0 || text.indexOf(":", colon + 1) >= 0) return { host: text };
  return { host: text.slice(0, colon), port: text.slice(colon + 1) };
}

function parseHost(host: string): Address | undefined {
  return parseIPv4(host) ?? parseIPv6(host);
}

// inet_aton without the trailing blanks that glibc's getaddrinfo refuses since 2.29.
function parseIPv4(host: string): Address | undefined {
  const parts = host.split(".");
  if (parts.length > 4) return undefined;
  const numbers: number[] = [];
  for (const part of parts) {
    const number = parseCNumber(part);
    if (number === undefined) return undefined;
    numbers.push(number);
  }
  const last = numbers.pop() ?? 0;
  if (numbers.some((number) => number > 255) || last >= 256 ** (4 - numbers.length)) return undefined;
  const bytes = [...numbers];
  for (let index = numbers.length; index < 4; index++)
    bytes.push(Math.floor(last / 256 ** (3 - index)) % 256);
  return bytes;
}

function parseCNumber(text: string): number | undefined {
  if (/^0[xX][0-9a-fA-F]+$/.test(text)) return Number.parseInt(text.slice(2), 16);
  if (/^0[0-7]*$/.test(text)) return Number.parseInt(text, 8);
  return /^[1-9]\d*$/.test(text) ? Number.parseInt(text, 10) : undefined;
}

function parseIPv6(host: string): Address | undefined {
  const percent = host.indexOf("%");
  const text = percent < 0 ? host : host.slice(0, percent);
  const scope = percent < 0 ? undefined : host.slice(percent + 1);
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const [head, tail] = halves.map((half, index) => parseGroups(half, index === halves.length - 1));
  if (head === undefined) return undefined;
  if (halves.length === 1) return head.length === 16 && scopeAllowed(head, scope) ? head : undefined;
  if (tail === undefined || head.length + tail.length > 14) return undefined;
  const bytes = [...head, ...new Array<number>(16 - head.length - tail.length).fill(0), ...tail];
  return scopeAllowed(bytes, scope) ? bytes : undefined;
}

// A scope is a number, or for a link-local address an interface's name: whether it is there, only the server knows.
function scopeAllowed([first = 0, second = 0]: Address, scope: string | undefined): boolean {
  if (scope === undefined || /^\d+$/.test(scope)) return true;
  const linkLocal =
    (first === 0xfe && (second & 0xc0) === 0x80) || (first === 0xff && (second & 0x0f) === 0x02);
  return linkLocal && scope !== "";
}

function parseGroups(text: string, mayEndInIPv4: boolean): number[] | undefined {
  if (text === "") return [];
  const groups = text.split(":");
  const bytes: number[] = [];
  for (const [index, group] of groups.entries()) {
    if (/^[0-9a-fA-F]{1,4}$/.test(group)) {
      const number = Number.parseInt(group, 16);
      bytes.push(number >> 8, number & 0xff);
      continue;
    }
    // inet_pton's own dotted form: four decimal numbers, and only at the end.
    const dotted = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(group);
    if (!dotted || !mayEndInIPv4 || index !== groups.length - 1) return undefined;
    const numbers = dotted.slice(1).map(Number);
    if (numbers.some((number, at) => number > 255 || String(number) !== dotted[at + 1])) return undefined;
    bytes.push(...numbers);
  }
  return bytes;
}
