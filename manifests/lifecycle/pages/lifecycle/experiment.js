// The experiment switch and the downloads of the ledger.
import { api, el, toast } from "/ui/shared/ui.js";

const BASE = "/api/v1/cvm/experiments";

function experimentRow(experiment, reload) {
  const on = experiment.status === "running";
  const name = experiment.name ?? experiment.id;
  const turn = async () => {
    try {
      await api(`${BASE}/${encodeURIComponent(experiment.id)}/${on ? "stop" : "start"}`, { method: "POST", body: {} });
      toast(`${name} is ${on ? "stopped" : "running"}.`, "good");
    } catch {
      // api has said so
    }
    reload();
  };
  return el("div", { class: "switch-row" },
    el("span", { dir: "auto" }, name, el("span", { class: "muted small" }, ` ${experiment.status ?? ""}`)),
    el("button", { type: "button", role: "switch", class: "switch", "aria-checked": String(on), "aria-label": `Experiment ${name}`,
      onclick: turn },
      el("span", { "aria-hidden": "true" })));
}

export async function drawExperiments(node) {
  const title = el("h3", {}, "Experiment");
  let experiments = [];
  try {
    const answer = await api(BASE, { quiet: true });
    experiments = (answer.experiments ?? []).filter(experiment => experiment.area === "lifecycle");
  } catch {
    experiments = null; // the plugin with the experiments is not loaded
  }
  const rows = experiments?.length ? experiments.map(experiment => experimentRow(experiment, () => drawExperiments(node)))
    : [el("p", { class: "muted small" }, experiments ? "None for this area. cvmhost experiment create --area lifecycle makes one." : "Experiments are not loaded.")];
  node.replaceChildren(title, ...rows);
}

// Where a token is needed a plain link would not send it: the file is asked for here, and given to the person.
async function save(event) {
  const link = event.currentTarget, token = sessionStorage.getItem("cvmhost.token");
  if (!token)
    return;
  event.preventDefault();
  const response = await fetch(link.href, { headers: { Authorization: `Bearer ${token}` } });
  if (!response.ok) {
    toast(`The host answered ${response.status}.`, "bad");
    return;
  }
  const url = URL.createObjectURL(await response.blob());
  el("a", { href: url, download: link.download }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

// range() gives "&from=..&to=.." of the days that are shown, or "".
export function drawDownloads(node, range) {
  const link = (what, format) => el("a", { class: "button small", onclick: save, download: `lifecycle-${what}.${format}`, "data-what": what,
    "data-format": format,
    href: `/api/v1/lifecycle/export?what=${what}&format=${format}${range()}` }, format.toUpperCase());
  const row = (what, text) => el("div", { class: "download-row" }, el("span", {}, text),
    el("span", { class: "buttons" }, link(what, "csv"), link(what, "json")));
  node.replaceChildren(el("h3", {}, "Download"), row("history", "History"), row("memory", "Memory"), row("metrics", "Metrics"));
}
