// The triggers: who matches one, on what evidence, and a treatment for all of them.
import { api, badge, busy, card, dialog, el, empty, percent, replace, toast } from "/ui/shared/ui.js";
import { words } from "./words.js";

const BASE = "/api/v1/cvm/triggers";
const SHOWN_MAX = 200;

function matchList(matches, showCustomer) {
  if (!matches.length)
    return empty("Nobody matches.");
  const said = match => (match.evidence ?? []).filter(piece => piece.excerpt && piece.source !== "recommender").slice(0, 2);
  return [el("p", { class: "muted small" },
    matches.length > SHOWN_MAX ? `The first ${SHOWN_MAX} of ${matches.length} customers` : `${matches.length} customers`),
    el("ul", { class: "match-list" }, ...matches.slice(0, SHOWN_MAX).map(match => el("li", {},
      el("div", { class: "row" }, el("button", { type: "button", class: "quiet link", onclick: () => showCustomer(match.customer_id) },
        match.customer_id),
        badge(percent(match.confidence), match.confidence >= 0.8 ? "good" : "warn")),
      el("div", {}, el("p", { dir: "auto" }, match.reasoning ?? ""),
        ...said(match).map(piece => el("p", { class: "muted small", dir: "auto" }, `“${piece.excerpt}”`))))))];
}

export function triggersView(showCustomer) {
  const result = el("section", { class: "stack", id: "matches", "aria-live": "polite" });
  const list = el("div", { class: "grid", id: "triggers" });
  let treatments = [];

  async function apply(trigger, body, matches, choice) {
    const yes = await dialog({ title: `Apply to ${matches.length} customers?`,
      content: el("p", {}, `Each of them gets ${words(choice).toLowerCase()} as far as permissions and the day's limits allow.`),
      actions: [{ label: "Cancel", value: null }, { label: "Apply", value: "yes" }] });
    if (yes !== "yes")
      return;
    const answer = await api(`${BASE}/${trigger.name}/apply`, { body: { ...body, treatment: choice } });
    toast(`${answer.processed} of ${answer.matches} customers got it.`, "good");
  }

  function show(trigger, body, matches) {
    const select = el("select", { id: "apply-treatment", "aria-label": "Treatment" },
      ...treatments.filter(treatment => treatment.enabled && treatment.id !== "ignore").map(treatment => el("option",
      { value: treatment.id }, treatment.display_name)));
    const button = el("button", { type: "button", class: "primary", id: "apply" }, "Apply to all");
    button.addEventListener("click", () => busy(button, apply(trigger, body, matches, select.value)).catch(() => {}));
    replace(result, card({ title: `Who matches ${words(trigger.name).toLowerCase()}`, actions: matches.length ? [select, button] : null },
      matchList(matches, showCustomer)));
    result.scrollIntoView({ block: "nearest" });
  }

  function triggerCard(trigger) {
    const custom = trigger.kind === "custom";
    const what = custom ? el("input", { id: "custom", maxlength: "1000", dir: "auto", placeholder: "complains about slow data at night",
      "aria-label": "The situation in plain words" }) : null;
    const button = el("button", { type: "button", "data-trigger": trigger.name }, "Run");
    const run = async () => {
      const body = { all_customers: true };
      if (what)
        body.description = what.value.trim();
      const answer = await api(`${BASE}/${trigger.name}/run`, { body });
      show(trigger, body, answer.matches ?? []);
    };
    button.addEventListener("click", () => {
      if (what && !what.value.trim())
        what.focus();
      else
        busy(button, run()).catch(() => {});
    });
    return card({ title: words(trigger.name), level: 3, actions: custom ? badge("custom", "lilac") : null },
      el("p", {}, trigger.description ?? ""),
      el("p", { class: "muted small grow" }, trigger.rule ?? ""), what, el("div", {}, button));
  }

  (async () => {
    const [all, offered] = await Promise.all([api(BASE), api("/api/v1/cvm/treatments")]);
    treatments = offered.treatments;
    replace(list, ...all.triggers.map(triggerCard));
  })().catch(() => replace(list, empty("The triggers cannot be read.")));
  return el("div", { class: "stack" }, list, result);
}
