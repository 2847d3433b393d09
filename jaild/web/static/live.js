// Keeps a page as its server shows it: what has changed is put in the place of what was, and all else stays, with the
// focus, what was typed and what was opened. Without this script the page shows the same, as of when it was loaded.
"use strict";

const note = document.getElementById("live");
const main = document.getElementById("main");
const log = document.getElementById("log");
const LINES = 2000;
let sources = [];

function bring(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeType !== Node.ELEMENT_NODE || old.nodeName !== fresh.nodeName || old.id !== fresh.id) {
    old.replaceWith(fresh);
    return;
  }
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  children(old, fresh);
}

// Elements with an id are known again wherever they stand: a row that is put in moves no other.
function children(old, fresh) {
  const known = new Map();
  for (const child of old.children) if (child.id) known.set(child.id, child);
  let at = old.firstChild;
  for (const child of [...fresh.childNodes]) {
    const same = child.id ? known.get(child.id) : at && at.id ? null : at;
    if (!same) {
      old.insertBefore(child, at);
      continue;
    }
    if (same === at) at = at.nextSibling;
    else old.insertBefore(same, at);
    bring(same, child);
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

function show(html) {
  const page = new DOMParser().parseFromString(`<main id="main" tabindex="-1">${html}</main>`, "text/html");
  bring(main, page.getElementById("main"));
}

function say(text, kind) {
  if (note.textContent !== text) note.textContent = text;
  note.className = kind;
}

function write(text) {
  const below = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  log.append(text);
  const lines = log.textContent.split("\n");
  if (lines.length > LINES) log.textContent = lines.slice(-LINES).join("\n");
  if (below) log.scrollTop = log.scrollHeight;
}

function open() {
  const page = new EventSource(location.href);
  page.addEventListener("content", (event) => {
    show(event.data);
    say("Live", "ok");
  });
  page.onerror = () => say("Not live: `jailctl web` does not answer", "bad");
  sources = [page];
  if (log) {
    const tail = new EventSource(log.dataset.from);
    tail.onopen = () => { log.textContent = ""; };
    tail.addEventListener("log", (event) => write(JSON.parse(event.data)));
    sources.push(tail);
  }
}

function close() {
  for (const source of sources) source.close();
  sources = [];
}

// A page in the background would keep one of the browser's few connections.
if (!document.body.classList.contains("still")) {
  open();
  document.addEventListener("visibilitychange", () => {
    close();
    if (!document.hidden) open();
  });
  addEventListener("pagehide", close);
}
