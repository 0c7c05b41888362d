// The treatments, and the editor of those that people wrote.
import { api, badge, busy, card, dialog, el, empty, replace, toast } from "/ui/shared/ui.js";
import { pounds, words } from "./words.js";

const BASE = "/api/v1/cvm/treatments";

function field(label, input) {
  return el("label", {}, label, input);
}

// Opens the editor; resolves to true when something was kept.
function edit(treatment) {
  return new Promise(resolve => {
    const limits = treatment.constraints ?? {};
    const name = el("input", { name: "display_name", value: treatment.display_name ?? "", maxlength: "120", required: true, dir: "auto" });
    const description = el("textarea", { name: "description", value: treatment.description ?? "", maxlength: "2000", rows: "3",
      dir: "auto" });
    const text = el("textarea", { name: "text", value: treatment.text ?? "", maxlength: "2000", rows: "3", dir: "auto" });
    const most = el("input", { type: "number", min: "0", value: limits.max_per_day ?? "" });
    const cost = el("input", { type: "number", min: "0", step: "0.01", value: limits.cost_per_contact_pounds ?? "" });
    const priority = el("input", { type: "number", min: "1", max: "10", value: limits.priority ?? "" });
    const enabled = el("input", { type: "checkbox", checked: treatment.enabled !== false });
    const fault = el("p", { class: "field-error", role: "alert" });
    const save = el("button", { type: "submit", class: "primary" }, "Save");
    const form = el("form", { id: "editor" }, field("Name", name), field("What it is", description), field("What the customer reads", text),
      el("div", { class: "three" }, field("At most a day", most), field("Cost in pounds", cost), field("Priority", priority)),
      el("label", { class: "inline" }, enabled, "Enabled"), fault,
      el("div", { class: "actions" }, el("button", { type: "button", onclick: () => box.close() }, "Cancel"), save));
    const box = el("dialog", { "aria-label": "Treatment", onclose: () => { box.remove(); resolve(false); } },
      el("h2", {}, words(treatment.id)), form);
    form.addEventListener("submit", event => {
      event.preventDefault();
      const constraints = { ...limits };
      for (const [key, input] of [["max_per_day", most], ["cost_per_contact_pounds", cost], ["priority", priority]])
        if (input.value !== "")
          constraints[key] = input.valueAsNumber;
      const body = { display_name: name.value.trim(), description: description.value.trim(), enabled: enabled.checked, constraints };
      if (text.value.trim())
        body.text = text.value.trim();
      busy(save, api(`${BASE}/${encodeURIComponent(treatment.id)}`, { method: "PATCH", body, quiet: true })).then(() => {
        resolve(true);
        box.close();
      }, error => { fault.textContent = error.field ? `${error.field}: ${error.message}` : error.message; });
    });
    document.body.append(box);
    box.showModal();
  });
}

export function treatmentsView() {
  const list = el("div", { class: "grid", id: "treatments" });

  async function remove(treatment) {
    const yes = await dialog({ title: `Remove ${treatment.display_name}?`,
      content: el("p", {}, "What it was used for stays in the records."),
      actions: [{ label: "Cancel", value: null }, { label: "Remove", value: "yes" }] });
    if (yes !== "yes")
      return;
    await api(`${BASE}/${encodeURIComponent(treatment.id)}`, { method: "DELETE" });
    toast(`${treatment.display_name} is removed.`, "good");
    await load();
  }

  function treatmentCard(treatment) {
    const limits = treatment.constraints ?? {}, custom = treatment.kind === "custom";
    return card({ title: treatment.display_name, level: 3,
      actions: treatment.enabled === false ? badge("off", "warn") : custom ? badge("custom", "lilac") : null },
      el("p", { dir: "auto" }, treatment.description ?? ""),
      el("p", { class: "muted small grow" }, [treatment.channel && `by ${treatment.channel}`,
        limits.max_per_day === null || limits.max_per_day === undefined ? "no limit a day" : `at most ${limits.max_per_day} a day`,
        `${pounds(limits.cost_per_contact_pounds)} each`].filter(Boolean).join(" · ")),
      (treatment.applies_to ?? []).length ? el("div", { class: "row" },
        ...treatment.applies_to.map(name => badge(words(name), "info"))) : null,
      custom ? el("div", { class: "row" },
        el("button", { type: "button", "data-edit": treatment.id, onclick: async () => { if (await edit(treatment)) load(); } }, "Edit"),
        el("button", { type: "button", class: "danger", "data-remove": treatment.id, onclick: () => remove(treatment).catch(() => {}) },
          "Remove")) : null);
  }

  async function load() {
    const answer = await api(BASE).catch(() => null);
    replace(list, ...(answer ? answer.treatments.map(treatmentCard) : [empty("The treatments cannot be read.")]));
  }

  const input = el("textarea", { id: "new-treatment", rows: "3", maxlength: "32768", dir: "auto",
    placeholder: "Send a loyalty SMS to customers at risk of churn, at most 50 a day, cost 0.10" });
  const add = el("button", { type: "submit", class: "primary", id: "add-treatment" }, "Add treatment");
  const form = el("form", { class: "card" }, el("h2", {}, "New treatment"), el("label", { for: "new-treatment" }, "In words, or as JSON"),
    input, el("div", {}, add));
  form.addEventListener("submit", event => {
    event.preventDefault();
    if (!input.value.trim()) {
      input.focus();
      return;
    }
    busy(add, api(BASE, { body: { input: input.value } })).then(made => {
      input.value = "";
      toast(`${made.display_name} is added.`, "good");
      load();
    }, () => {});
  });
  load();
  return el("div", { class: "stack" }, form, list);
}
