// The list of tickets with its filter. Knows which one is chosen, nothing of what a ticket holds.
import { badge, el } from "/ui/shared/ui.js";
import { span, stateOf, timeOf, words } from "./words.js";

const SHOWN_MAX = 200;

const FILTERS = [["all", "All"], ["active", "Active"], ["waiting", "To approve"], ["finished", "Finished"]];

function fits(ticket, filter) {
  const state = stateOf(ticket.status);
  if (filter.kind === "active" && !state.active || filter.kind === "finished" && state.active)
    return false;
  if (filter.kind === "waiting" && ticket.status !== "WAITING_FOR_APPROVAL")
    return false;
  const sought = filter.text.toLowerCase();
  return !sought || [ticket.ticket_id, ticket.customer_id, ticket.description, ticket.step, ticket.outcome]
    .some(text => String(text ?? "").toLowerCase().includes(sought));
}

export function stateBadge(status) {
  const state = stateOf(status);
  return badge(state.text, state.tone);
}

// How long is left, in words; a ticker keeps it true.
export function countdown(deadline) {
  const node = el("time", { class: "countdown", "data-deadline": String(timeOf(deadline)) });
  tell(node, Date.now());
  return node;
}

function tell(node, now) {
  const left = Number(node.dataset.deadline) - now;
  node.textContent = left > 0 ? `${span(left)} left` : "overdue";
  node.classList.toggle("soon", left < 3600000);
}

setInterval(() => {
  const now = Date.now();
  for (const node of document.querySelectorAll(".countdown"))
    tell(node, now);
}, 1000);

// choose(id) is called with the ticket that was picked.
export function ticketList({ filterNode, countNode, listNode, choose }) {
  const filter = { kind: "all", text: "" };
  let tickets = [], chosen = null, further = false;

  const buttons = FILTERS.map(([kind, text]) => el("button", {
    type: "button", class: "chip", "data-kind": kind, "aria-pressed": String(kind === filter.kind),
    onclick: () => { filter.kind = kind; draw(); },
  }, text));
  const search = el("input", {
    type: "search", id: "search", placeholder: "Ticket, customer, words", "aria-label": "Search tickets",
    oninput: event => { filter.text = event.target.value; draw(); },
  });
  filterNode.replaceChildren(el("div", { class: "chips", role: "group", "aria-label": "Which tickets" }, ...buttons), search);

  function row(ticket) {
    const waits = ticket.status === "WAITING_FOR_APPROVAL" && ticket.expires_at;
    return el("li", {}, el("button", {
      type: "button", class: "ticket-row", "data-ticket": ticket.ticket_id,
      "aria-current": ticket.ticket_id === chosen ? "true" : "false", onclick: () => choose(ticket.ticket_id),
    },
    el("span", { class: "row-top" }, el("strong", {}, ticket.ticket_id), stateBadge(ticket.status)),
    ticket.description ? el("span", { class: "row-text", dir: "auto" }, ticket.description) : null,
    el("span", { class: "row-foot muted small" }, el("span", {}, ticket.customer_id ?? ""),
      ticket.step ? el("span", {}, words(ticket.step)) : null, waits ? countdown(ticket.expires_at) : null)));
  }

  function draw() {
    const focused = document.activeElement?.dataset?.ticket;
    for (const button of buttons)
      button.setAttribute("aria-pressed", String(button.dataset.kind === filter.kind));
    const shown = tickets.filter(ticket => fits(ticket, filter));
    listNode.replaceChildren(...shown.slice(0, SHOWN_MAX).map(row));
    const more = shown.length > SHOWN_MAX ? `, the newest ${SHOWN_MAX} shown` : "";
    const active = tickets.filter(ticket => stateOf(ticket.status).active).length;
    countNode.textContent = tickets.length === 0 ? "No tickets yet."
      : `${shown.length} of ${tickets.length}${further ? " newest" : ""} tickets${more}; ${active} active`;
    if (focused)
      listNode.querySelector(`[data-ticket="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  }

  let pending = 0;

  // What a ticket's event says of it, until the list is read again; many at once are drawn once.
  function take({ ticket_id, customer_id, status, step, at }) {
    const known = tickets.find(ticket => ticket.ticket_id === ticket_id);
    if (known)
      Object.assign(known, { status, step });
    else
      tickets = [{ ticket_id, customer_id, status, step, created_at: at }, ...tickets];
    pending ||= setTimeout(() => {
      pending = 0;
      draw();
    }, 16);
  }

  return {
    take,
    show(all, more) { tickets = all; further = more; draw(); },
    choose(id) { chosen = id; draw(); },
    find: id => tickets.find(ticket => ticket.ticket_id === id),
  };
}
