// One ticket: how far it is, what was found, the decision on it, what happened to it. Draws; asks through `act`.
import { badge, el } from "/ui/shared/ui.js";
import { countdown, stateBadge } from "./list.js";
import { clock, duration, stateOf, words } from "./words.js";

const PHASES = [["triage", "Triage"], ["expert", "Expert analysis"], ["approval", "Your approval"], ["notification", "Customer told"],
  ["done", "Done"]];
const TEXT_MAX = 4000; // of a value that the timeline shows
const SHORT = 110;     // shown without a click

// ---- how far it is ----

// Which phase a ticket is in, by what it has already: later ones win.
function phaseOf(ticket) {
  if (!stateOf(ticket.status).active)
    return "done";
  const output = ticket.output ?? {};
  if (output.approval)
    return "notification";
  if (ticket.status.startsWith("WAITING"))
    return "approval";
  return output.triage ? "expert" : "triage";
}

function stepper(ticket) {
  const output = ticket.output ?? {}, at = phaseOf(ticket);
  const now = PHASES.findIndex(([id]) => id === at);
  const did = { triage: output.triage, expert: output.analysis, approval: output.approval, notification: output.notification };
  return el("ol", { class: "stepper", "aria-label": "Steps" }, ...PHASES.map(([id, text], i) => {
    const ended = at === "done";
    const state = id === "done" ? (ended ? stateOf(ticket.status).tone === "good" ? "done" : "bad" : "todo")
      : ended ? (did[id] ? "done" : "skipped") : i < now ? "done" : i === now ? "now" : "todo";
    const name = id === "done" && ended ? stateOf(ticket.status).text : text;
    return el("li", { class: state, "aria-current": state === "now" ? "step" : null }, el("span", { class: "dot", "aria-hidden": "true" }),
      el("span", {}, name));
  }));
}

function facts(ticket) {
  const triage = ticket.output?.triage, sla = ticket.sla;
  const rows = [
    ["Customer", [ticket.customer_id, triage?.customer?.company_name].filter(Boolean).join(" · ")],
    ["Plan", triage?.customer?.plan && `${triage.customer.plan}, support ${triage.customer.support_level ?? (triage.entitled ? "included" : "not included")}`],
    ["System", triage?.system && [triage.system.cloud_provider, triage.system.dapr_version && `version ${triage.system.dapr_version}`,
      Array.isArray(triage.system.applications) ? triage.system.applications.join(", ") : null].filter(Boolean).join(" · ")],
    ["Step", stateOf(ticket.status).active && ticket.step && words(ticket.step)],
    ["Created", ticket.created_at && clock(ticket.created_at)],
    ["Approve within", ticket.status === "WAITING_FOR_APPROVAL" && ticket.expires_at ? countdown(ticket.expires_at) : null],
    ["SLA", sla && stateOf(ticket.status).active ? slaText(sla) : null],
    ["Outcome", ticket.output?.outcome && words(ticket.output.outcome)],
    ["Instance", ticket.instance_id && el("code", {}, ticket.instance_id)],
  ];
  return el("dl", { class: "facts" }, ...rows.filter(([, value]) => value).flatMap(([name, value]) =>
    [el("dt", {}, name), el("dd", { dir: "auto" }, value)]));
}

function slaText(sla) {
  if (sla.breached)
    return el("span", { class: "badge tone-bad" }, "Breached");
  if (sla.paused)
    return "Paused while the customer is asked";
  return sla.due_at ? countdown(sla.due_at) : null;
}

// ---- what was found ----

// What stands in the steps of an analysis that has found nothing is for the team.
function isFound(analysis) {
  return analysis?.found !== false;
}

function stepsOf(analysis) {
  return Array.isArray(analysis?.resolution_steps) ? analysis.resolution_steps.map(String) : [];
}

export function proposedText(analysis) {
  const steps = stepsOf(analysis);
  return steps.length ? steps.map((step, i) => `${i + 1}. ${step}`).join("\n") : String(analysis?.analysis ?? "");
}

function analysisPart(analysis) {
  if (!analysis)
    return null;
  const sources = (analysis.sources ?? []).map(source => typeof source === "string" ? source : source.title ?? source.source ?? source.document_id).filter(Boolean);
  const confidence = isFound(analysis) && typeof analysis.confidence === "number" ? `${Math.round(analysis.confidence * 100)} % sure` : null;
  return el("section", { class: "part", id: "analysis" },
    el("h3", {}, isFound(analysis) ? "Proposed solution" : "No documented solution: what the team can do",
      confidence ? badge(confidence) : null),
    analysis.root_cause ? el("p", { dir: "auto" }, el("strong", {}, "Cause: "), analysis.root_cause) : null,
    el("ol", { class: "solution", dir: "auto" }, ...stepsOf(analysis).map(step => el("li", { dir: "auto" }, step))),
    analysis.analysis ? el("details", {}, el("summary", {}, "The whole analysis"),
      el("p", { class: "pre", dir: "auto" }, analysis.analysis)) : null,
    analysis.fallback ? el("p", { class: "muted small" }, `Note: ${analysis.fallback}`) : null,
    analysis.queries?.length ? el("p", { class: "muted small" },
      `Asked the knowledge base about ${analysis.queries.map(query => query.aspect).join(", ")}`) : null,
    sources.length ? el("p", { class: "muted small", dir: "auto" }, `Sources: ${[...new Set(sources)].join(", ")}`) : null);
}

function noticePart(notice) {
  if (!notice?.text)
    return null;
  const sent = notice.delivered ? `sent by ${notice.channel ?? "a channel"}`
    : notice.delivery_error ? `not sent: ${notice.delivery_error}` : "kept here; no channel is set up";
  return el("section", { class: "part", id: "notice" }, el("h3", {}, notice.delivered ? "What the customer was told" : "What the customer is to be told"),
    el("div", { class: "letter" }, notice.subject ? el("strong", { dir: "auto" }, notice.subject) : null,
      el("p", { class: "pre", dir: "auto" }, notice.text)),
    el("p", { class: "muted small" }, `To ${notice.name ?? "the customer"}, ${sent}`));
}

function approvalPart(approval) {
  if (!approval)
    return null;
  const decision = approval.approved ? "Approved" : approval.rework ? "Sent back for rework" : "Rejected";
  return el("section", { class: "part", id: "decided" }, el("h3", {}, "Decision"), el("p", {}, decision),
    approval.final_solution ? el("p", { class: "pre letter", dir: "auto" }, approval.final_solution) : null,
    approval.diff?.length ? el("details", {}, el("summary", {}, "What was changed"), el("pre", { class: "diff", dir: "auto" },
      ...approval.diff.map(line => el("span", { class: line.startsWith("+") ? "added" : line.startsWith("-") ? "removed" : null },
        `${line}\n`)))) : null,
    approval.support_notes ? el("p", { class: "muted", dir: "auto" }, `Notes: ${approval.support_notes}`) : null);
}

// ---- the decision ----

// act(what, body) sends it and resolves to whether it was taken.
function decisionForm(ticket, act) {
  const found = isFound(ticket.output?.analysis), proposed = found ? proposedText(ticket.output?.analysis) : "";
  const asProposed = found ? "As proposed." : "Nothing was found that could be approved as it is: write what the customer is to do.";
  const solution = el("textarea", { id: "solution", rows: String(Math.min(14, Math.max(4, proposed.split("\n").length + 1))),
    maxlength: "16384", dir: "auto" });
  solution.value = proposed;
  solution.required = !found;
  const notes = el("textarea", { id: "notes", rows: "2", maxlength: "4000", dir: "auto" });
  const changed = el("p", { class: "muted small", id: "changed", "aria-live": "polite" }, asProposed);
  solution.addEventListener("input", () => {
    changed.textContent = solution.value === proposed ? asProposed : found ? "You have changed the proposed solution." : "";
  });
  const buttons = [];
  const decide = async extra => {
    for (const button of buttons)
      button.disabled = true;
    const body = { ...extra };
    if (notes.value.trim())
      body.support_notes = notes.value.trim();
    if (body.approved && solution.value.trim() && solution.value !== proposed)
      body.final_solution = solution.value.trim();
    if (!await act("approve", body))
      for (const button of buttons)
        button.disabled = false;
  };
  buttons.push(
    el("button", { type: "submit", class: "primary", id: "approve" }, "Approve"),
    el("button", { type: "button", id: "rework", onclick: () => decide({ approved: false, rework: true }) }, "Ask for rework"),
    el("button", { type: "button", class: "danger", id: "reject", onclick: () => decide({ approved: false }) }, "Reject"));
  return el("form", { class: "part decision", id: "decision", onsubmit: event => { event.preventDefault(); decide({ approved: true }); } },
    el("h3", {}, "Your decision", ticket.expires_at ? countdown(ticket.expires_at) : null),
    el("label", { for: "solution" }, "Solution that the customer gets"), solution, changed,
    el("label", { for: "notes" }, "Notes for the team, or what the rework is to look at"), notes,
    el("div", { class: "buttons" }, ...buttons));
}

// ---- what else can be done ----

function questionsPart(questions) {
  if (!questions?.length)
    return null;
  return el("section", { class: "part", id: "questions" }, el("h3", {}, "Asked the customer"),
    ...questions.map(question => el("div", { class: "letter" },
    el("p", { class: "pre", dir: "auto" }, question.question),
      el("p", { class: "pre muted", dir: "auto" }, question.answer ?? "No answer yet."))));
}

// A field with a button: a question to the customer, or what the customer answered.
function askForm(id, label, button, send) {
  const input = el("textarea", { id, rows: "2", maxlength: "2000", required: true, dir: "auto" });
  const submit = el("button", { type: "submit" }, button);
  return el("form", { class: "part", onsubmit: async event => {
    event.preventDefault();
    submit.disabled = true;
    if (!await send(input.value.trim()))
      submit.disabled = false;
  } }, el("label", { for: id }, label), input, el("div", {}, submit));
}

function moreForm(ticket, act) {
  const parts = [], state = stateOf(ticket.status);
  if (ticket.status === "WAITING_FOR_APPROVAL")
    parts.push(askForm("ask", "Question to the customer; the clocks stand still until there is an answer", "Ask",
      question => act("ask", { question })));
  if (ticket.status === "WAITING_FOR_CUSTOMER")
    parts.push(askForm("answer", "What the customer answered", "Keep the answer", answer => act("answer", { answer })));
  if (ticket.status === "TIMED_OUT" || ticket.status === "FAILED")
    parts.push(el("div", {}, el("button", { type: "button", id: "reopen", onclick: () => act("reopen", {}) }, "Open again")));
  if (state.active)
    parts.push(el("div", {}, el("button", { type: "button", class: "danger", id: "terminate", onclick: () => act("terminate", {}) },
      "End this ticket")));
  if (!parts.length)
    return null;
  const open = ticket.status !== "WAITING_FOR_APPROVAL";
  return el("details", { class: "more", id: "more", open }, el("summary", {}, "More"), ...parts);
}

// ---- what happened ----

// A small object in words: "customer_id CUST001, store customer-state"; any other text as it is.
function plain(text) {
  if (!text.startsWith("{"))
    return text;
  try {
    const members = Object.entries(JSON.parse(text));
    return members.some(([, value]) => value !== null && typeof value === "object") ? text : members.map(([name,
      value]) => `${name} ${value}`).join(", ");
  } catch {
    return text; // clipped
  }
}

function summary(value) {
  if (value === null || value === undefined || value === "")
    return "";
  const text = typeof value === "string" ? plain(value) : JSON.stringify(value, null, 1);
  return text.length > TEXT_MAX ? `${ text.slice(0, TEXT_MAX)}…` : text;
}

function timelineRow(entry) {
  const input = summary(entry.input), output = summary(entry.output);
  const both = [input, output].filter(Boolean);
  const detail = both.every(text => text.length <= SHORT && !text.includes("\n")) ? both.map(text => el("p",
    { class: "small", dir: "auto" }, text))
    : el("details", {}, el("summary", {}, "In and out"), ...both.map(text => el("pre", { dir: "auto" }, text)));
  return el("li", {}, el("div", { class: "event-head" }, el("strong", { dir: "auto" }, words(entry.what ?? "")),
    el("span", { class: "muted small" }, duration(entry.duration_ms))),
    el("div", { class: "muted small" }, [clock(entry.time), entry.actor,
      entry.step && `step ${words(entry.step).toLowerCase()}`].filter(Boolean).join(" · ")), detail);
}

export function timeline(entries) {
  return el("section", { class: "part", id: "timeline" }, el("h3", {}, `Timeline (${entries.length})`),
    el("ol", { class: "timeline" }, ...entries.map(timelineRow)));
}

// ---- all of it ----

export function ticketView(ticket, entries, act) {
  const error = ticket.output?.error;
  return [
    el("div", { class: "ticket-head" }, el("h2", { id: "ticket-title" }, ticket.ticket_id), stateBadge(ticket.status)),
    el("p", { class: "description pre", dir: "auto" }, ticket.description ?? ""),
    stepper(ticket),
    error ? el("p", { class: "notice tone-bad", role: "alert", dir: "auto" },
      typeof error === "string" ? error : error.text ?? error.message ?? JSON.stringify(error)) : null,
    facts(ticket),
    analysisPart(ticket.output?.analysis),
    questionsPart(ticket.output?.questions),
    ticket.status === "WAITING_FOR_APPROVAL" ? decisionForm(ticket, act) : approvalPart(ticket.output?.approval),
    moreForm(ticket, act),
    noticePart(ticket.output?.notification),
    timeline(entries),
  ].filter(Boolean);
}
