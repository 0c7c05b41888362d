// The page /ui/lifecycle: what is known, which days and view are shown, the one button, what comes in live.
import { api, el, events, header, tabs } from "/ui/shared/ui.js";
import { drawDownloads, drawExperiments } from "./experiment.js";
import { drawLedger, drawOverview } from "./ledger.js";
import { metricsOf } from "./metrics.js";
import { storyBoard } from "./story.js";
import { words } from "./words.js";

const BASE = "/api/v1/lifecycle";
const DAYS_AT_ONCE = 5;
const RECENT_MAX = 8;
const LOOP = ["observe", "decide", "act", "evaluate", "learn"];

const node = id => document.getElementById(id);
const range = { from: null, to: null };
let state = { day: 0, customers: [] }, memory = {}, recent = [];
let running = false, seen = 0; // cards of the day that runs
let finished = 0, asking = false; // the last day that was told to be over; whether this page waits for its own day
let charting = false;

const board = storyBoard(node("story"), () => showDays(board.oldest() - 1));
const inRange = day => (range.from === null || day >= range.from) && (range.to === null || day <= range.to);
const query = () => (range.from === null ? "" : `&from=${range.from}`) + (range.to === null ? "" : `&to=${range.to}`);

// ---- drawing ----

function drawState() {
  drawOverview(node("overview"), state);
  drawLedger(node("ledger"), state, memory, recent);
  const decider = node("decider");
  decider.hidden = state.provider !== "rules" && state.provider !== "auto";
  decider.textContent = state.provider === "rules" ? "No language model has a key here, so the rules provider decides."
    : "A language model decides where one has a key, else the rules provider does.";
}

let pending = 0;

// A day of thousands of customers is drawn some sixty times a second, not once for each.
function drawSoon() {
  pending ||= setTimeout(() => {
    pending = 0;
    drawState();
    drawRunning();
  }, 16);
}

function drawRunning() {
  const button = node("next-day"), count = state.personas ?? state.customers?.length ?? 0;
  button.disabled = running;
  button.setAttribute("aria-busy", String(running));
  button.textContent = running ? "Running…" : "Run Next Day Simulation";
  node("progress").textContent = running ? `Day ${state.day + 1}: ${seen} of ${count} customers`
    : state.day === 0 ? `${count} customers are ready. No day has run yet.` : `Day ${state.day} is done.`;
  const at = running ? Math.min(LOOP.length - 1, Math.floor(seen * LOOP.length / Math.max(1, count))) : -1;
  for (const item of node("loop").children) {
    const i = LOOP.indexOf(item.dataset.step);
    item.classList.toggle("now", i === at);
    item.classList.toggle("done", !running && state.day > 0);
  }
}

function learnt(card) {
  if (card.outcome !== "SUCCESS" && card.outcome !== "FAILED")
    return;
  recent = [card, ...recent.filter(other => other.day !== card.day || other.persona_key !== card.persona_key)].slice(0, RECENT_MAX);
}

// ---- what is asked for ----

// What failed is shown by api already.
const guarded = work => work().catch(() => null);

async function loadState() {
  [state, memory] = await Promise.all([api(BASE), api(`${BASE}/memory`)]);
  running = asking || state.running && state.day !== finished; // a day is told to be over a moment before it is put away
  drawState();
  drawRunning();
}

// Shows the days from `newest` down, as many as a screen or two hold.
async function showDays(newest) {
  const last = Math.max(range.from ?? 1, newest - DAYS_AT_ONCE + 1);
  const days = [];
  for (let day = newest; day >= last; day--)
    days.push(day);
  const answers = await Promise.all(days.map(day => guarded(() => api(`${BASE}/stories?day=${day}`))));
  for (const answer of answers)
    for (const card of answer?.stories ?? [])
      board.add(card);
  for (const card of answers.flatMap(answer => (answer?.stories ?? []).toReversed()))
    if (recent.length < RECENT_MAX && (card.outcome === "SUCCESS" || card.outcome === "FAILED"))
      recent.push(card);
  board.offer(last > Math.max(1, range.from ?? 1));
}

async function showStory() {
  board.clear();
  recent = [];
  const newest = Math.min(range.to ?? state.day, state.day);
  board.say(state.day === 0 ? "Nothing has happened yet. Run the first day." : "No day is in this range.");
  if (newest >= (range.from ?? 1))
    await showDays(newest);
  else
    board.offer(false);
  drawLedger(node("ledger"), state, memory, recent);
}

const loadAll = () => guarded(async () => {
  await loadState();
  await showStory();
  await showCharts();
});

async function showCharts() {
  if (!charting)
    return;
  const { drawCharts } = await import("./charts.js");
  await guarded(async () => drawCharts(node("charts"), metricsOf(await api(`${BASE}/metrics`), state, inRange)));
}

// ---- the one button ----

async function nextDay() {
  running = asking = true;
  seen = 0;
  drawRunning();
  const answer = await guarded(() => api(`${BASE}/next-day`, { method: "POST", body: {} }));
  for (const card of answer?.stories ?? []) // those that the stream has not brought
    if (inRange(card.day))
      board.add(card);
  asking = running = false;
  await guarded(loadState);
  await showCharts();
}

// ---- what comes in live ----

function onStory(card) {
  seen += 1;
  if (inRange(card.day))
    board.add(card);
  learnt(card);
  const customer = state.customers?.find(other => other.persona_key === card.persona_key);
  if (customer) {
    customer.change = card.score_after - customer.engagement_score;
    customer.clv = card.clv;
    customer.engagement_score = card.score_after;
    customer.status = card.status;
  }
  if (card.outcome === "SUCCESS" || card.outcome === "FAILED")
    (memory[card.persona_key] ??= {})[card.action] = card.outcome;
  drawSoon();
}

function onDay(day) {
  running = asking || day.state === "running";
  if (day.state === "running")
    seen = 0;
  else
    finished = day.day;
  drawRunning();
  if (day.state !== "running")
    guarded(loadState).then(showCharts);
}

// ---- tabs and range ----

const views = tabs([{ id: "story", title: "Story", content: [node("overview"), node("story")] },
  { id: "charts", title: "Charts", content: node("charts") }], {
  onselect(view) {
    charting = view === "charts";
    showCharts();
  },
});
node("views").append(views);

function startRange() {
  const field = (id, text) => {
    const input = el("input", { id, type: "number", min: "1", max: "100000", inputmode: "numeric" });
    return [el("label", { for: id }, text), input];
  };
  const read = id => node(id).value === "" ? null : Math.max(1, Number(node(id).value));
  const set = () => {
    range.from = read("from");
    range.to = read("to");
    drawDownloads(node("downloads"), query);
    guarded(showStory).then(showCharts);
  };
  const form = node("range");
  form.append(el("span", { class: "muted small" }, "Days"), ...field("from", "from"), ...field("to", "to"),
    el("button", { type: "submit", class: "small" }, "Show"),
    el("button", { type: "button", class: "small", onclick: () => { form.reset(); set(); } }, "All days"));
  form.addEventListener("submit", event => { event.preventDefault(); set(); });
}

// ---- start ----

startRange();
node("next-day").addEventListener("click", nextDay);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showCharts);
drawDownloads(node("downloads"), query);
const live = events(`${BASE}/events`, { "lifecycle.story": onStory, "lifecycle.day": onDay, reset: loadAll });
header("Customer lifecycle", live.indicator);
await loadAll();
drawExperiments(node("experiment"));
