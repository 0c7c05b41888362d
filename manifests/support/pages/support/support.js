// The page /ui/support: what is known of the tickets, which one is open, live changes to both.
import { api, dialog, el, events, header, toast } from "/ui/shared/ui.js";
import { ticketList } from "./list.js";
import { ticketView } from "./ticket.js";

const node = id => document.getElementById(id);
const path = id => encodeURIComponent(id);
let open = null;       // the ticket that is shown
let shownState = "";   // of it: status and attempt, for a form is not redrawn under somebody's hands

const list = ticketList({ filterNode: node("filter"), countNode: node("count"), listNode: node("list"), choose: pick });

// Of several calls while one runs, one more follows: every change is seen, no two run at once.
function single(work) {
  let running = false, again = false;
  return async function run() {
    again = true;
    if (running)
      return;
    running = true;
    while (again) {
      again = false;
      try {
        await work();
      } catch {
        // api has said so
      }
    }
    running = false;
  };
}

const loadList = single(async () => {
  const answer = await api("/support/tickets?limit=500");
  list.show(answer.tickets, answer.more);
});

const loadTicket = single(async () => {
  const id = open;
  if (!id)
    return;
  const [status, audit] = await Promise.all([api(`/support/status/${path(id)}`), api(`/support/tickets/${path(id)}/audit`)]);
  if (id === open)
    draw({ ...list.find(id), ...status }, audit.entries);
});

function draw(ticket, entries) {
  const state = `${ticket.ticket_id} ${ticket.status} ${JSON.stringify(ticket.output?.analysis?.created_at ?? "")}`;
  const fresh = ticketView(ticket, entries, act);
  if (state === shownState) // the person may be writing: only what is not theirs is new
    for (const id of ["decision", "more"]) {
      const kept = fresh.findIndex(part => part.id === id);
      if (kept >= 0 && node(id))
        fresh[kept] = node(id);
    }
  const focused = document.activeElement?.id;
  shownState = state;
  node("ticket").replaceChildren(...fresh);
  if (focused)
    node(focused)?.focus({ preventScroll: true });
}

function pick(id) {
  location.hash = path(id);
}

async function follow() {
  const id = decodeURIComponent(location.hash.slice(1));
  open = id || null;
  list.choose(open);
  if (!open)
    return;
  await loadTicket();
  if (matchMedia("(max-width: 60rem)").matches)
    node("ticket").scrollIntoView({ block: "start" });
}

const DONE = { ask: "the customer is asked", answer: "the answer is kept", reopen: "is open again", terminate: "is ended" };

async function act(what, body) {
  try {
    if (what === "terminate" && !await sure())
      return false;
    await api(`/support/${what}/${path(open)}`, { method: "POST", body });
  } catch {
    loadTicket();
    return false;
  }
  const said = what !== "approve" ? DONE[what] : body.approved ? "is approved" : body.rework ? "goes back to the expert" : "is rejected";
  toast(`${open}: ${said}.`, "good");
  loadTicket();
  loadList();
  return true;
}

const sure = async () => await dialog({ title: `End ${open}?`,
  content: el("p", {}, "It is not worked on any more, and the customer is told nothing."),
  actions: [{ label: "Cancel", value: null }, { label: "End it", value: "yes" }] }) === "yes";

// ---- a new ticket ----

function createForm() {
  const id = el("input", { id: "new-id", name: "ticket_id", maxlength: "64", pattern: "[A-Za-z0-9_\\-]+", placeholder: "given by itself",
    autocomplete: "off" });
  const customer = el("input", { id: "new-customer", name: "customer_id", maxlength: "64", required: "", placeholder: "CUST001",
    autocomplete: "off" });
  const description = el("textarea", { id: "new-description", name: "description", rows: "5", maxlength: "8192", required: "",
    dir: "auto" });
  const fault = el("p", { class: "notice tone-bad", role: "alert", hidden: "" });
  const send = el("button", { type: "submit", class: "primary", id: "new-send" }, "Create ticket");
  const form = el("form", { class: "stack", id: "new-ticket" },
    el("label", {}, "Customer", customer), el("label", {}, "What is wrong", description),
    el("label", {}, "Ticket number, if it has one", id), fault,
    el("div", { class: "actions" }, el("button", { type: "button", onclick: () => shown.close() }, "Cancel"), send));
  const shown = el("dialog", { "aria-labelledby": "new-title", onclose: () => shown.remove() }, el("h2", { id: "new-title" }, "New ticket"),
    form);
  document.body.append(shown);
  shown.showModal();
  form.addEventListener("submit", async event => {
    event.preventDefault();
    const body = { customer_id: customer.value.trim(), description: description.value };
    if (id.value.trim())
      body.ticket_id = id.value.trim();
    send.disabled = true;
    try {
      const answer = await api("/support/ticket", { method: "POST", body, quiet: true });
      shown.close();
      toast(`${answer.ticket_id} is under way.`, "good");
      await loadList();
      pick(answer.ticket_id);
    } catch (error) {
      fault.textContent = error.message;
      fault.hidden = false;
      send.disabled = false;
    }
  });
  customer.focus();
}

// ---- start ----

node("create").addEventListener("click", createForm);
addEventListener("hashchange", follow);
const changed = event => {
  if (event?.ticket_id && event.status)
    list.take(event);
  loadList();
  if (open && (!event || event.ticket_id === open))
    loadTicket();
};
const live = events("/support/events", { "message-pubsub": changed, "support-pubsub": changed, reset: () => changed(null) });
header("Support desk", live.indicator);
await loadList();
await follow();
