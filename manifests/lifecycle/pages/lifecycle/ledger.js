// The customers with their bars, and the Learning Ledger beside them. Draws what the state says.
import { badge, el, stat } from "/ui/shared/ui.js";
import { dollars, money, round, signed, toneOf, totals, words } from "./words.js";

const SHOWN_MAX = 60;
const STATUS = { "not started": "", exploring: "info", learning: "lilac", adapted: "good" };

function customerCard(c) {
  const churned = c.status === "churned", score = round(c.engagement_score ?? 0);
  const tone = churned ? "none" : score < 30 ? "bad" : score < 60 ? "warn" : "good";
  return el("article", { class: `customer ${churned ? "churned" : ""}`, "data-persona": c.persona_key },
    el("div", { class: "customer-head" }, el("strong", { dir: "auto" }, c.display_name ?? c.persona_key),
      churned ? badge(c.churned_on_day ? `Churned, day ${c.churned_on_day}` : "Churned", "bad") : null),
    el("div", { class: "muted small", dir: "auto" }, c.segment ?? ""),
    el("div", { class: "score" }, el("span", { class: "score-value" }, String(score)),
      typeof c.change === "number" ? el("span", { class: `change text-${toneOf(c.change)}` }, signed(round(c.change))) : null),
    el("progress", { max: "100", value: score, class: `bar-${tone}`, "aria-label": `Engagement of ${c.display_name ?? c.persona_key}` }),
    el("div", { class: "customer-foot muted small" }, el("span", {}, c.days_inactive ? `${c.days_inactive} d inactive` : "active today"),
      el("span", { title: "Customer lifetime value" }, `CLV ${money(c.clv, c.currency)}`)));
}

export function drawOverview(node, state) {
  const customers = state.customers ?? [], more = (state.personas ?? customers.length) - Math.min(customers.length, SHOWN_MAX);
  node.replaceChildren(...customers.slice(0, SHOWN_MAX).map(customerCard),
    ...(more > 0 ? [el("p", { class: "muted small" }, `and ${more} more`)] : []));
}

function figure(label, value, id) {
  const node = stat(label, value);
  node.id = id;
  return node;
}

function memoryOf(key, outcomes) {
  const chips = Object.entries(outcomes).map(([action, status]) => el("span",
    { class: `chip-static tone-${status === "SUCCESS" ? "good" : "bad"}` },
    el("span", { "aria-hidden": "true" }, status === "SUCCESS" ? "✓ " : "✗ "),
      el("span", { class: "visually-hidden" }, status === "SUCCESS" ? "worked: " : "failed: "), words(action)));
  return el("div", { class: "memory-row" }, el("h4", { dir: "auto" }, key.replace(/_/g, " · ")), el("div", { class: "chips" }, ...chips));
}

function update(u) {
  return el("li", {}, el("span", { dir: "auto" },
    `Day ${u.day}: ${String(u.persona_key ?? "").replace(/^[^_]*_/, "")}, ${words(u.action).toLowerCase()} `),
    el("span", { class: `change text-${toneOf(u.impact)}` }, signed(u.impact)));
}

// state: GET /api/v1/lifecycle; memory: GET .../memory; recent: the newest cards with an outcome.
export function drawLedger(node, state, memory, recent) {
  const rows = Object.entries(memory).filter(([, outcomes]) => Object.keys(outcomes).length > 0);
  const status = state.learning_status ?? "not started";
  node.replaceChildren(
    el("div", { class: "figures" }, figure("Day", String(state.day ?? 0), "day"), figure("Active", String(state.active ?? 0), "active"),
      figure("Churned", String(state.churned ?? 0), "churned")),
    el("p", { class: "status-line" }, "Learning status ", el("span", { id: "learning-status" }, badge(status, STATUS[status]))),
    el("h3", {}, "Strategy memory"),
    rows.length ? el("div", { id: "memory" }, ...rows.slice(0, SHOWN_MAX).map(([key, outcomes]) => memoryOf(key, outcomes)),
      rows.length > SHOWN_MAX ? el("p", { class: "muted small" }, `and ${rows.length - SHOWN_MAX} more`) : null)
      : el("p", { class: "muted small", id: "memory" }, "Empty: nothing has been tried."),
    el("h3", {}, "Recent learning"),
    recent.length ? el("ul", { class: "updates", id: "updates" }, ...recent.map(update)) : el("p", { class: "muted small" },
      "Nothing learnt yet."),
    el("h3", {}, "Cost and value"),
    el("dl", { class: "facts" },
      el("dt", {}, "Lifetime value"), el("dd", { id: "clv" }, totals(state.clv_totals)),
      el("dt", {}, "Model tokens"), el("dd", { id: "tokens" }, String(state.tokens ?? 0)),
      el("dt", {}, "Model cost"), el("dd", { id: "cost" }, dollars(state.cost_usd ?? 0)),
      el("dt", {}, "Policy"), el("dd", {}, words(state.policy ?? "source"))));
}
