/* global document, fetch, location, ResizeObserver, URL, WebSocket, setTimeout, clearTimeout */
import { FitAddon } from "./addon-fit.mjs";
import { LineEditor } from "./line-editor.js";
import { Terminal } from "./xterm.mjs";

const find = (id) => document.getElementById(id);
const form = find("sign-in");
const main = find("console");
const servers = find("server");
const state = find("state");
const signedOut = 4001;
const idle = 4002;

// xterm.js makes style elements; without the page's nonce the content policy would refuse them.
const { nonce } = find("nonce");
const createElement = document.createElement.bind(document);
document.createElement = (name, options) => {
  const element = createElement(name, options);
  if (element.localName === "style") element.setAttribute("nonce", nonce);
  return element;
};

const terminal = new Terminal({
  convertEol: true,
  cursorBlink: true,
  fontSize: 13,
  scrollback: 5000,
  theme: { background: "#14181d", foreground: "#d7dde4" },
});
const fit = new FitAddon();
terminal.loadAddon(fit);
const editor = new LineEditor({
  write: (text) => terminal.write(text),
  onLine: (line) => send({ type: "line", line }),
  onComplete: (line) => send({ type: "complete", line }),
});
editor.wait();

let socket;
let again;
let attempts = 0;

/** Every call brings its JSON; a refusal becomes an error with its status. */
async function call(method, path, body) {
  const response = await fetch(path, {
    method,
    credentials: "same-origin",
    headers: { "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const answer = await response.json();
  if (!response.ok) throw Object.assign(new Error(answer.error), { status: response.status });
  return answer;
}

function send(message) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

function showSignIn(problem = "") {
  disconnect();
  // The next one to sign in here may be somebody else.
  terminal.reset();
  editor.forget();
  servers.replaceChildren();
  main.hidden = true;
  form.hidden = false;
  find("problem").textContent = problem;
  find("token").focus();
}

function showConsole({ who, servers: offered }) {
  if (offered.length === 0) return showSignIn("There is no server for you here.");
  find("who").textContent = who;
  servers.replaceChildren(
    ...offered.map(({ name, role }) => {
      const option = createElement("option");
      option.value = name;
      option.textContent = `${name} (${role})`;
      return option;
    }),
  );
  form.hidden = true;
  main.hidden = false;
  if (terminal.element === undefined) open();
  fit.fit();
  terminal.focus();
  return connect();
}

function open() {
  const place = find("terminal");
  terminal.open(place);
  terminal.onData((data) => editor.input(data));
  terminal.onResize(({ cols }) => editor.resize(cols));
  editor.resize(terminal.cols);
  new ResizeObserver(() => fit.fit()).observe(place);
  // A paste never enters a line by itself, and brings no control characters.
  place.addEventListener(
    "paste",
    (event) => {
      event.preventDefault();
      event.stopPropagation();
      editor.insert(event.clipboardData.getData("text/plain"));
    },
    { capture: true },
  );
}

function disconnect() {
  clearTimeout(again);
  const old = socket;
  socket = undefined;
  old?.close();
  editor.wait();
}

async function connect() {
  disconnect();
  const name = servers.value;
  editor.prompt = `${name}*CLI> `;
  let ticket;
  try {
    ({ ticket } = await call("POST", "ticket", { server: name }));
  } catch (error) {
    if (error.status === 401) return showSignIn("You were signed out.");
    return reconnectLater(error.message);
  }
  const url = new URL("socket", location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  const opened = new WebSocket(url, ["asterisk-console", `ticket.${ticket}`]);
  socket = opened;
  opened.addEventListener("open", () => {
    attempts = 0;
    state.textContent = "";
    editor.ready();
  });
  opened.addEventListener("message", ({ data }) => {
    if (socket === opened) hear(JSON.parse(data));
  });
  opened.addEventListener("close", ({ code }) => {
    if (socket !== opened) return;
    if (code === signedOut) showSignIn("You were signed out.");
    else if (code === idle) showSignIn("Nothing was typed for a long time: you were signed out.");
    else reconnectLater("The connection was lost.");
  });
}

function reconnectLater(problem) {
  disconnect();
  attempts += 1;
  state.textContent = `${problem} Trying again …`;
  again = setTimeout(connect, Math.min(250 * 2 ** attempts, 10_000));
}

function hear(message) {
  if (message.type === "log") {
    const { text, omitted } = message;
    editor.print(omitted === 0 ? text : `${text}\x1b[2m… ${omitted} more lines were left out\x1b[0m\n`);
  } else if (message.type === "state") {
    state.textContent = message.text;
    state.dataset.connected = message.connected;
  } else if (message.type === "completion") editor.complete(message.line, message.candidates, message.common);
  else {
    const label =
      { Refused: "\x1b[91mrefused:\x1b[0m ", Failed: "\x1b[91merror:\x1b[0m " }[message.outcome] ?? "";
    const text = `${label}${message.text}`;
    if (text !== "") terminal.write(text.endsWith("\n") ? text : `${text}\n`);
    editor.ready();
  }
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const field = find("token");
  const token = field.value;
  field.value = "";
  try {
    await showConsole(await call("POST", "session", { token }));
  } catch (error) {
    showSignIn(
      { 401: "That is nobody's, or no longer good.", 429: "Too many tries: wait a minute." }[error.status] ??
        error.message,
    );
  }
});
find("sign-out").addEventListener("click", async () => {
  disconnect();
  await call("DELETE", "session").catch(() => undefined);
  showSignIn();
});
servers.addEventListener("change", () => {
  terminal.reset();
  void connect();
  terminal.focus();
});

call("GET", "session").then(showConsole, () => showSignIn());
