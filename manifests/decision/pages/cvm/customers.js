// The customers: a list to choose from, and of one the journey, what was recommended and why.
import { api, badge, busy, card, el, empty, money, percent, replace, stat, table, toast } from "/ui/shared/ui.js";
import { day, pounds, riskTone, words } from "./words.js";

const BASE = "/api/v1/cvm/customers";
const PAGE = 50;
const EVENTS_MAX = 100;
const TONES = { POSITIVE: "good", NEGATIVE: "bad", NEUTRAL: "" };

// ---- of one customer ----

function profile(found) {
  const facts = found.journey.facts ?? {}, metrics = found.journey.metrics ?? {};
  const name = found.customer_data.demographics?.name ?? facts.name;
  const allowed = Object.entries(found.journey.permissions ?? {}).filter(([, value]) => value === true).map(([key]) => words(key));
  return card({ title: name ? `${name} (${found.customer_id})` : found.customer_id,
    note: [facts.segment && words(facts.segment), facts.age && `${facts.age} years old`,
    facts.tenure_months && `customer for ${facts.tenure_months} months`].filter(Boolean).join(" · ") },
    el("div", { class: "figures" },
      stat("a month", money(facts.monthly_spend, facts.currency ?? "GBP")),
      stat("churn score", typeof facts.churn_score === "number" ? percent(facts.churn_score) : "–"),
      stat("contacts in 90 days", metrics.contacts_90d ?? "–"),
      stat("dropped calls", typeof metrics.dropped_call_rate_percent === "number" ? `${metrics.dropped_call_rate_percent} %` : "–")),
    el("div", { class: "row" }, ...(found.journey.signals ?? []).map(signal => badge(words(signal), "warn")),
      ...(found.journey.patterns ?? []).map(pattern => badge(pattern))),
    el("ul", { class: "insights" }, ...(found.journey.insights ?? []).map(text => el("li", { dir: "auto" }, text))),
    el("p", { class: "muted small" }, allowed.length ? `May be reached by: ${allowed.join(", ")}` : "May not be contacted."));
}

function journey(found) {
  const events = [...(found.journey.events ?? [])].reverse();
  return card({ title: "Journey", note: `${events.length} events, the newest first` },
    events.length ? el("ol", { class: "timeline", id: "journey" },
      ...events.slice(0, EVENTS_MAX).map(event => el("li", { class: (event.sentiment ?? "").toLowerCase() },
      el("div", { class: "row" }, el("strong", { dir: "auto" }, event.summary ?? words(event.kind)),
        event.sentiment && event.sentiment !== "NEUTRAL" ? badge(words(event.sentiment.toLowerCase()), TONES[event.sentiment]) : null),
      el("p", { class: "muted small" }, `${day(event.timestamp)} · ${words(event.source)}`)))) : empty("Nothing is known."));
}

function considered(why) {
  const rows = why.considered ?? [], most = Math.max(1, ...rows.map(row => Math.abs(row.value_pounds ?? 0)));
  return table([
    { key: "treatment_id", title: "Treatment", render: id => id === why.chosen ? el("strong", {}, words(id)) : words(id) },
    { key: "value_pounds", title: "Value", number: true, render: pounds },
    { key: "bar", title: "", render: (_, row) => el("progress",
      { max: most, value: Math.max(0, row.value_pounds ?? 0), "aria-label": `Value of ${row.treatment_id}` }) },
    { key: "propensity", title: "Propensity", number: true, render: value => percent(value, 1) },
    { key: "cost_pounds", title: "Cost", number: true, render: pounds },
    ...(rows.some(row => row.rule) ? [{ key: "rule", title: "Ruled out by", render: rule => rule ? words(rule) : "" }] : []),
  ], rows, { caption: "What was considered" });
}

function recommendation(why, decide) {
  const button = el("button", { type: "button", class: "primary", id: "decide" }, why ? "Decide again" : "Decide now");
  button.addEventListener("click", () => busy(button, decide()).catch(() => {}));
  if (!why)
    return card({ title: "Recommendation", actions: button }, empty("Nothing has been decided for this customer."));
  return card({ title: "Recommendation", note: why.at && `${day(why.at)}, by ${why.method ?? "rules"}`, actions: button },
    el("p", { class: "chosen", id: "chosen" }, words(why.chosen)),
    el("p", { dir: "auto", id: "explanation" }, why.explanation ?? ""),
    why.smallest_change ? el("p", { class: "hint" }, why.smallest_change) : null,
    considered(why));
}

// ---- the view ----

export function customersView() {
  const list = el("ul", { class: "pick-list", id: "customers" });
  const more = el("button", { type: "button", hidden: true }, "More");
  const find = el("input", { type: "search", id: "find", placeholder: "Customer id", "aria-label": "Customer id", maxlength: "64",
    autocomplete: "off" });
  const detail = el("section", { class: "stack", "aria-label": "Customer" }, card({}, empty("Choose a customer.")));
  let next = null, opened = null;

  function row(customer) {
    return el("li", {}, el("button", { type: "button", class: "pick", "data-customer": customer.customer_id, "aria-current": "false",
      onclick: () => { location.hash = encodeURIComponent(customer.customer_id); } },
      el("span", { class: "spread" }, el("strong", {}, customer.customer_id),
        typeof customer.churn_score === "number" ? badge(`churn ${percent(customer.churn_score)}`, riskTone(customer.churn_score)) : null),
      el("span", { class: "muted small" }, `${words(customer.segment)} · ${money(customer.monthly_spend, customer.currency)} a month`)));
  }

  async function load() {
    const answer = await api(`${BASE}?limit=${PAGE}${next ? `&after=${encodeURIComponent(next)}` : ""}`).catch(() => null);
    if (!answer)
      return;
    list.append(...answer.customers.map(row));
    next = answer.next;
    more.hidden = !answer.more;
    mark();
  }

  function mark() {
    for (const button of list.querySelectorAll("button"))
      button.setAttribute("aria-current", String(button.dataset.customer === opened));
  }

  async function decide(id) {
    const answer = await api(`${BASE}/${encodeURIComponent(id)}/process`, { body: {} });
    toast(answer.status === "success" ? `${id}: ${words(answer.selected_treatment)}` : answer.explanation ?? answer.status,
      answer.status === "success" ? "good" : "warn");
    await open(id);
  }

  async function open(id) {
    opened = id;
    mark();
    const path = `${BASE}/${encodeURIComponent(id)}`;
    const found = await api(path).catch(() => null);
    const why = found && await api(`${path}/why`, { quiet: true }).catch(() => null);
    if (opened !== id)
      return;
    if (!found)
      replace(detail, card({}, empty(`There is no customer ${id}.`)));
    else
      replace(detail, profile(found), recommendation(why, () => decide(id)), journey(found));
    if (matchMedia("(max-width: 60rem)").matches)
      detail.scrollIntoView({ block: "start" });
  }

  more.addEventListener("click", load);
  const form = el("form", { class: "row find" }, find, el("button", { type: "submit" }, "Open"));
  form.addEventListener("submit", event => {
    event.preventDefault();
    if (find.value.trim())
      location.hash = encodeURIComponent(find.value.trim());
  });
  const node = el("div", { class: "desk" }, card({ title: "Customers" }, form, list, more), detail);
  return { node, load, open };
}
