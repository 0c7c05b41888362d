// What is left of the day's treatments, and what became of requests for them.
import { ago, api, badge, card, dialog, el, empty, progress, replace, table } from "/ui/shared/ui.js";
import { pounds, words } from "./words.js";

const BASE = "/api/v1/cvm/allocations";
const TONES = { allocated: "good", refused: "bad" };

function bar(id, limits) {
  const free = limits.max_per_day === null;
  const meter = free ? null : progress(`${words(id)}: ${limits.used_today} of ${limits.max_per_day}`,
    { value: limits.used_today, max: limits.max_per_day });
  return el("div", { class: "allocation", "data-treatment": id },
    free ? el("div", { class: "spread small" }, el("span", {}, `${words(id)}: ${limits.used_today} used`),
    el("span", { class: "muted" }, "no limit")) : meter,
    el("p", { class: "muted small" }, `${pounds(limits.cost_per_contact_pounds)} each, ${limits.channel}${limits.enabled ? "" : ", off"}`));
}

export function allocationsView() {
  const bars = el("div", { class: "bars", id: "bars" }), history = el("div", { id: "history" }), title = el("p", { class: "muted small" });

  async function load() {
    const [left, past] = await Promise.all([api(BASE), api(`${BASE}/history?limit=50`)]).catch(() => []);
    if (!left) {
      replace(bars, empty("The allocations cannot be read."));
      return;
    }
    replace(title, `${left.day}, ${left.timezone}`);
    replace(bars, ...Object.entries(left.constraints).map(([id, limits]) => bar(id, limits)));
    replace(history, table([
      { key: "allocated_at", title: "When", render: at => ago(at) },
      { key: "customer_id", title: "Customer" },
      { key: "treatment_key", title: "Treatment", render: words },
      { key: "outcome", title: "Outcome", render: outcome => badge(words(outcome), TONES[outcome]) },
      { key: "remaining", title: "Left", number: true },
    ], past.history, { empty: "Nothing was asked for yet." }));
  }

  async function reset() {
    const yes = await dialog({ title: "Set today's counts back?",
      content: el("p", {}, "All treatments can be given again up to their limits."),
      actions: [{ label: "Cancel", value: null }, { label: "Set back", value: "yes" }] });
    if (yes !== "yes")
      return;
    await api(`${BASE}/reset`, { body: {} }).catch(() => {});
    await load();
  }

  const button = el("button", { type: "button", id: "reset", onclick: reset }, "Set back");
  const node = el("div", { class: "stack" }, card({ title: "Left today", actions: button }, title, bars), card("History", history));
  return { node, load };
}
