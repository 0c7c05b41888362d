/* What the pages are built of. Plain functions that give DOM nodes; every text goes in as text, never as markup.
 *
 * api(path, {method, body, key, quiet, signal})   JSON of this host; `body` is sent as JSON, `key` as Idempotency-Key
 *                                                 (true: a new one). An error is a Problem, shown as a toast unless
 *                                                 `quiet`. Where a token is asked for, so is the person, once.
 * Problem                                         {status, code, detail, field, request_id}; message is the sentence
 * el(tag, attributes, ...children)                `class`, `data-..`, `aria-..`, true/false/null; `onclick: function`;
 *                                                 `value`, `checked` are set as properties. Children: nodes, texts,
 *                                                 numbers, arrays of them; null and false are left out
 * replace(node, ...children)                      in place of what is in it; gives the node
 * events(path, handlers, {indicator})             a stream: handlers by topic (data, id); also reset() (events may be
 *                                                 missing: read anew), state(name). Resumes by itself; rests while
 *                                                 nobody sees the page. Gives {close(), indicator}: a node that shows
 *                                                 connecting, live, reconnecting, paused, stopped
 * header(title, ...end)                           puts the header with the navigation at the top of the page
 * card({title, note, tone, actions, level}, ...children), or card("Title", ...children)
 * stat(label, value)                              a figure with what it is; node.set(value)
 * badge(text, tone)                               tone: good, warn, bad, info, lilac
 * empty(text)                                     in place of a list without entries
 * progress(label, {value, max})                   node.set(value, max, label); no value: under way, nobody knows how far
 * tabs([{id, title, content}], {selected, onselect})   content: a node, or a function that gives one when first shown;
 *                                                 node.select(id). Arrow keys, Home and End go between them
 * table(columns, rows, {caption, empty, onrow, key})   columns: [{key, title, number, render(value, row)}];
 *                                                 node.set(rows); onrow(row): rows can be chosen by click and Enter
 * toast(text, tone)                               a sentence that goes away; bad ones stay until closed
 * dialog({title, content, actions})               actions: [{label, value, tone}], the last is the default. Promise of the
 *                                                 value, null for Escape; node.form has the fields: dialog.values(form)
 * busy(button, promise)                           the button rests meanwhile; gives the promise
 * ago(time), time(time)                           <time> that says "3 min ago" and keeps saying it; date and time
 * duration(seconds)                               "2 h 5 min"
 * number(n, digits), percent(part, digits), money(minor, currency)   as text
 */

const TOKEN = "cvmhost.token";

/* ---- nodes ---- */

function append(node, children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    if (Array.isArray(child)) append(node, child);
    else node.append(child instanceof Node ? child : String(child));
  }
}

export function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) {
      if (typeof value !== "function") throw new TypeError(`${name} must be a function`);
      node.addEventListener(name.slice(2), value);
    } else if (name === "value" || name === "checked" || name === "selected") {
      node[name] = value;
    } else if ((name === "href" || name === "src") && !safe(value)) {
      continue;
    } else {
      node.setAttribute(name, value === true ? "" : String(value));
    }
  }
  append(node, children);
  return node;
}

/* A link that came with data must not be a script. */
function safe(link) {
  return ["http:", "https:", "mailto:", "tel:", "data:", "blob:"].includes(new URL(link, location.href).protocol);
}

export function replace(node, ...children) {
  node.replaceChildren();
  append(node, children);
  return node;
}

/* ---- asking the host ---- */

export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || body.message || body.title || `The host answered ${status}.`);
    this.status = status;
    this.code = body.code || "";
    this.detail = this.message;
    this.field = body.field || "";
    this.request_id = body.request_id || "";
    this.body = body;
  }
}

function authorization() {
  const token = sessionStorage.getItem(TOKEN);
  return token ? { Authorization: `Bearer ${token}` } : {};
}

let asking = null;

/* One dialog, however many requests were refused; none where the token has become another since the request. */
function askToken(sentence, used) {
  if (!asking && sessionStorage.getItem(TOKEN) !== used) return Promise.resolve(true);
  asking = asking || (async () => {
    const field = el("input", { name: "token", type: "password", autocomplete: "off", required: true });
    const answer = await dialog({
      title: "A token is needed",
      content: [el("p", {}, sentence), el("label", {}, "Token", field)],
      actions: [{ label: "Cancel", value: null }, { label: "Go on", value: "ok" }],
    });
    if (answer === "ok") sessionStorage.setItem(TOKEN, field.value.trim());
    return answer === "ok";
  })().finally(() => {
    asking = null;
  });
  return asking;
}

async function problemOf(response) {
  const body = await response.json().catch(() => ({}));
  return new Problem(response.status, body && typeof body === "object" ? body : {});
}

async function request(path, options) {
  const headers = { Accept: "application/json", ...authorization() };
  if (options.body !== undefined) headers["Content-Type"] = "application/json";
  if (options.key) headers["Idempotency-Key"] = options.key === true ? crypto.randomUUID() : options.key;
  const method = options.method || (options.body === undefined ? "GET" : "POST");
  const body = options.body === undefined ? undefined : JSON.stringify(options.body);
  const response = await fetch(path, { method, headers, body, signal: options.signal });
  if (!response.ok) throw await problemOf(response);
  return response.status === 204 ? null : response.json();
}

export async function api(path, options = {}) {
  const used = sessionStorage.getItem(TOKEN);
  try {
    return await request(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    if (error.status === 401 && (await askToken(error.message, used))) return api(path, options);
    const problem = error instanceof Problem ? error
      : new Problem(0, { code: "NO_ANSWER", detail: "The host cannot be reached." });
    if (!options.quiet) toast(problem.field ? `${problem.field}: ${problem.message}` : problem.message, "bad");
    throw problem;
  }
}

/* ---- streams ---- */

/* A browser opens six connections to a host, for all its tabs together: those that nobody looks at lend theirs. */
const UNSEEN_MS = 30000;
const SILENT_MS = 40000; /* the host says something at least every 15 s */

/* Reads "field: value" lines; calls `take` with each event. */
async function readStream(body, alive, take) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let event = { topic: "message", id: undefined, data: [] };
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    alive();
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (line === "") {
        take(event);
        event = { topic: "message", id: undefined, data: [] };
      } else if (!line.startsWith(":")) {
        const [, name, text] = /^([^:]*):? ?(.*)$/s.exec(line);
        if (name === "event") event.topic = text;
        else if (name === "id") event.id = text;
        else if (name === "data") event.data.push(text);
      }
    }
  }
}

export function events(path, handlers, options = {}) {
  const indicator = options.indicator || el("span", { class: "live", role: "status" });
  let last = options.last;
  let closed = false;
  let wait = 500;
  let aborter;
  let unseen;
  let paused = false;
  let seen = () => {};
  const show = (state) => {
    if (indicator.dataset.state === state) return;
    indicator.classList.add("live");
    indicator.dataset.state = state;
    replace(indicator, state);
    if (handlers.state) handlers.state(state);
  };
  const take = (event) => {
    if (event.id !== undefined) last = event.id;
    if (event.topic === "reset") {
      if (handlers.reset) handlers.reset();
      return;
    }
    const handler = handlers[event.topic];
    if (handler && event.data.length) handler(JSON.parse(event.data.join("\n")), event.id);
  };
  let used = null;
  const once = async () => {
    let timer;
    const alive = () => {
      clearTimeout(timer);
      timer = setTimeout(() => aborter.abort(), SILENT_MS);
    };
    aborter = new AbortController();
    alive();
    try {
      used = sessionStorage.getItem(TOKEN);
      const headers = { Accept: "text/event-stream", ...authorization() };
      if (last !== undefined) headers["Last-Event-ID"] = last;
      const response = await fetch(path, { headers, signal: aborter.signal, cache: "no-store" });
      if (!response.ok) throw await problemOf(response);
      wait = 500;
      show("live");
      await readStream(response.body, alive, take);
    } finally {
      clearTimeout(timer);
    }
  };
  const run = async () => {
    show("connecting");
    while (!closed) {
      if (paused) {
        show("paused");
        await new Promise((resolve) => {
          seen = resolve;
        });
        if (!closed) show("reconnecting");
        continue;
      }
      const error = await once().then(() => null, (e) => e);
      if (closed) break;
      if (paused) continue;
      show("reconnecting");
      if (error && error.status === 401) {
        if (await askToken(error.message, used)) continue;
        break;
      }
      if (error && error.status === 403) {
        toast(error.message, "bad");
        break;
      }
      await new Promise((resolve) => setTimeout(resolve, wait * (0.75 + Math.random() / 2)));
      wait = Math.min(wait * 2, 10000);
    }
    show("stopped");
  };
  const look = () => {
    clearTimeout(unseen);
    if (document.hidden) {
      unseen = setTimeout(() => {
        paused = true;
        if (aborter) aborter.abort();
      }, options.unseen_ms ?? UNSEEN_MS);
    } else if (paused) {
      paused = false;
      seen();
    }
  };
  document.addEventListener("visibilitychange", look);
  run();
  look();
  return {
    indicator,
    close() {
      closed = true;
      document.removeEventListener("visibilitychange", look);
      clearTimeout(unseen);
      if (aborter) aborter.abort();
      seen();
    },
  };
}

/* ---- header ---- */

export function header(title, ...end) {
  const list = el("ul");
  const node = el("header", { class: "site-header" },
    el("div", { class: "wrap" },
      el("a", { class: "brand", href: "/ui/" }, "cvmhost"),
      el("nav", { class: "site-nav", "aria-label": "Pages" }, list),
      el("div", { class: "row end" }, ...end)));
  const main = document.querySelector("main");
  if (main) {
    main.id = main.id || "main";
    main.tabIndex = -1;
    document.body.prepend(el("a", { class: "skip", href: `#${main.id}` }, "Skip to the content"), node);
  } else {
    document.body.prepend(node);
  }
  if (title) document.title = `${title} - cvmhost`;
  api("/api/v1/pages", { quiet: true }).then(({ pages }) => {
    replace(list, pages.filter((page) => page.nav).map((page) => el("li", {},
      el("a", { href: page.path, "aria-current": page.path === location.pathname ? "page" : null }, page.title))));
  }, () => {});
  return node;
}

/* ---- cards and figures ---- */

export function card(options, ...children) {
  const { title, note, tone, actions, level = 2 } = typeof options === "string" ? { title: options } : options || {};
  return el("section", { class: tone ? `card tone-${tone}` : "card", "aria-label": title },
    (title || note || actions) && el("header", {},
      title && el(`h${level}`, {}, title),
      actions && el("div", { class: "row" }, actions),
      note && el("p", { class: "muted small" }, note)),
    ...children);
}

export function stat(label, value) {
  const strong = el("strong", {}, value ?? "-");
  const node = el("div", { class: "stat" }, strong, el("span", {}, label));
  node.set = (now) => replace(strong, now ?? "-");
  return node;
}

export function badge(text, tone) {
  return el("span", { class: tone ? `badge tone-${tone}` : "badge" }, text);
}

export function empty(text) {
  return el("p", { class: "empty" }, text);
}

export function progress(label, { value, max = 1 } = {}) {
  const bar = el("progress", { "aria-label": label });
  const share = el("span", { class: "muted number" });
  const name = el("span", {}, label);
  const node = el("div", { class: "progress" }, el("div", { class: "spread" }, name, share), bar);
  node.set = (now, most = max, text = null) => {
    if (text !== null) {
      replace(name, text);
      bar.setAttribute("aria-label", text);
    }
    if (now === null || now === undefined) {
      bar.removeAttribute("value");
      replace(share);
      return;
    }
    bar.max = most > 0 ? most : 1;
    bar.value = now;
    replace(share, percent(now / bar.max));
  };
  node.set(value, max);
  return node;
}

/* ---- tabs ---- */

let ids = 0;

export function tabs(entries, { selected, onselect } = {}) {
  const base = `tabs-${++ids}`;
  const list = el("div", { class: "tab-list", role: "tablist" });
  const node = el("div", { class: "tabs" }, list);
  const parts = entries.map((entry) => {
    const panel = el("div", { class: "tab-panel", role: "tabpanel", id: `${base}-${entry.id}`, tabindex: "0",
      "aria-labelledby": `${base}-${entry.id}-tab`, hidden: true });
    const tab = el("button", { type: "button", role: "tab", id: `${base}-${entry.id}-tab`, "data-tab": entry.id,
      "aria-controls": panel.id, onclick: () => node.select(entry.id) }, entry.title);
    list.append(tab);
    node.append(panel);
    return { entry, tab, panel, filled: false };
  });
  node.select = (id) => {
    const chosen = parts.find((part) => part.entry.id === id) || parts[0];
    for (const part of parts) {
      const on = part === chosen;
      part.tab.setAttribute("aria-selected", on ? "true" : "false");
      part.tab.tabIndex = on ? 0 : -1;
      part.panel.hidden = !on;
    }
    if (!chosen.filled) {
      chosen.filled = true;
      const { content } = chosen.entry;
      append(chosen.panel, [typeof content === "function" ? content() : content]);
    }
    if (onselect) onselect(chosen.entry.id);
  };
  list.addEventListener("keydown", (event) => {
    const at = parts.findIndex((part) => part.tab === document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: parts.length - 1 }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    const part = parts[(to + parts.length) % parts.length];
    node.select(part.entry.id);
    part.tab.focus();
  });
  if (parts.length) node.select(selected);
  return node;
}

/* ---- table ---- */

function cell(column, row) {
  const value = row[column.key];
  const shown = column.render ? column.render(value, row) : value;
  const text = shown !== null && typeof shown === "object" && !(shown instanceof Node) && !Array.isArray(shown)
    ? JSON.stringify(shown) : shown;
  return el("td", { class: column.number ? "number" : null }, text ?? "-");
}

export function table(columns, rows, { caption, empty: nothing = "Nothing yet.", onrow } = {}) {
  const body = el("tbody");
  const node = el("div", { class: "table-wrap" },
    el("table", {},
      caption && el("caption", {}, caption),
      el("thead", {}, el("tr", {}, columns.map((column) => el("th", { scope: "col",
        class: column.number ? "number" : null }, column.title ?? column.key)))),
      body));
  const line = (row) => {
    const tr = el("tr", { class: onrow ? "choosable" : null, tabindex: onrow ? "0" : null },
      columns.map((column) => cell(column, row)));
    if (onrow) {
      tr.addEventListener("click", (event) => {
        if (!event.target.closest("a, button, input")) onrow(row, tr);
      });
      tr.addEventListener("keydown", (event) => {
        if (event.target === tr && (event.key === "Enter" || event.key === " ")) {
          event.preventDefault();
          onrow(row, tr);
        }
      });
    }
    return tr;
  };
  node.set = (now) => replace(body, now.length ? now.map(line)
    : el("tr", {}, el("td", { colspan: columns.length }, empty(nothing))));
  node.set(rows || []);
  return node;
}

/* ---- toast, dialog, busy ---- */

export function toast(text, tone = "info") {
  let stack = document.querySelector(".toasts");
  if (!stack) {
    stack = el("div", { class: "toasts", role: "region", "aria-label": "Messages", "aria-live": "polite" });
    document.body.append(stack);
  }
  const node = el("div", { class: "toast", role: tone === "bad" ? "alert" : "status" }, el("span", {}, text),
    el("button", { class: "quiet", type: "button", "aria-label": "Close", onclick: () => node.remove() }, "\u00d7"));
  node.style.setProperty("--tone", `var(--${tone})`);
  while (stack.children.length >= 4) stack.firstChild.remove();
  stack.append(node);
  if (tone !== "bad") setTimeout(() => node.remove(), 6000);
  return node;
}

export function dialog({ title, content, actions = [{ label: "Close", value: "close" }] }) {
  return new Promise((resolve) => {
    const head = el("h2", { id: `dialog-${++ids}` }, title);
    const form = el("form", { method: "dialog" }, head, content);
    const node = el("dialog", { "aria-labelledby": head.id }, form);
    let answer = null;
    const buttons = actions.map((action, i) => {
      const last = i === actions.length - 1;
      const cancels = action.value === null;
      return el("button", { type: last ? "submit" : "button", formnovalidate: cancels,
        class: action.tone || (last ? "primary" : null),
        onclick: last ? null : () => {
          answer = action.value;
          node.close();
        } }, action.label);
    });
    form.append(el("div", { class: "actions" }, buttons));
    form.addEventListener("submit", () => {
      answer = actions[actions.length - 1].value;
      if (answer === "values") answer = dialog.values(form);
    });
    node.addEventListener("close", () => {
      node.remove();
      resolve(answer);
    });
    document.body.append(node);
    node.showModal();
  });
}

/* The fields of a form by their names; numbers and check boxes as what they are. */
dialog.values = (form) => {
  const values = {};
  for (const field of form.elements) {
    if (!field.name || (field.type === "radio" && !field.checked)) continue;
    values[field.name] = field.type === "checkbox" ? field.checked
      : field.type === "number" || field.type === "range" ? field.valueAsNumber : field.value;
  }
  return values;
};

export function busy(button, promise) {
  button.disabled = true;
  button.setAttribute("aria-busy", "true");
  const rest = () => {
    button.disabled = false;
    button.removeAttribute("aria-busy");
  };
  promise.then(rest, rest);
  return promise;
}

/* ---- times and numbers ---- */

const STEPS = [[60, "second"], [60, "minute"], [24, "hour"], [7, "day"], [4.35, "week"], [12, "month"],
  [Infinity, "year"]];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });

function words(date) {
  let n = (date - Date.now()) / 1000;
  if (Math.abs(n) < 5) return "now";
  for (const [size, unit] of STEPS) {
    if (Math.abs(n) < size) return relative.format(Math.round(n), unit);
    n /= size;
  }
  return "";
}

export function ago(when) {
  const date = new Date(when);
  if (when === null || when === undefined || Number.isNaN(date.getTime())) return el("span", {}, "-");
  const node = time(when);
  node.dataset.ago = "";
  replace(node, words(date));
  return node;
}

export function time(when) {
  const date = new Date(when);
  if (when === null || when === undefined || Number.isNaN(date.getTime())) return el("span", {}, "-");
  const text = date.toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
  return el("time", { datetime: date.toISOString(), title: date.toISOString() }, text);
}

setInterval(() => {
  for (const node of document.querySelectorAll("time[data-ago]")) {
    const text = words(new Date(node.dateTime));
    if (node.textContent !== text) node.textContent = text;
  }
}, 10000);

export function duration(seconds) {
  if (typeof seconds !== "number" || !Number.isFinite(seconds) || seconds < 0) return "-";
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

export function number(n, digits = 0) {
  return typeof n === "number" && Number.isFinite(n)
    ? n.toLocaleString("en-GB", { minimumFractionDigits: digits, maximumFractionDigits: digits }) : "-";
}

export function percent(part, digits = 0) {
  return typeof part === "number" && Number.isFinite(part) ? `${number(part * 100, digits)} %` : "-";
}

export function money(minor, currency = "NGN") {
  if (typeof minor !== "number" || !Number.isFinite(minor)) return "-";
  return new Intl.NumberFormat("en-NG", { style: "currency", currency, currencyDisplay: "narrowSymbol" })
    .format(minor / 100);
}
