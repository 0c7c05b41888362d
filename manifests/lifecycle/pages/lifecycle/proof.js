// What a card stands on: the turns of the journal in which the day of that customer was decided, done and learnt.
import { api, dialog, el, empty, table } from "/ui/shared/ui.js";

const SHOWN_MAX = 200;

async function show(card, path) {
  const found = await api(path);
  const turns = found.turns.slice(0, SHOWN_MAX);
  await dialog({ title: `${card.display_name}, day ${card.day}`, content: [
    el("p", {}, "The card says what these turns of the journal did, in this order. A number opens the turn as it is stored."),
    turns.length ? table([
      { key: "turn", title: "Turn", render: turn => el("a", { href: `/api/v1/turns/${turn}`, target: "_blank", rel: "noopener" }, turn) },
      { key: "type", title: "What", render: (type, turn) => [el("div", {}, type), el("div", { class: "muted small" }, turn.component)] },
      { key: "outcome", title: "Outcome" },
    ], turns) : empty("The journal has folded them."),
  ] });
}

export function proofLink(card) {
  if (!card.conversation)
    return null;
  const path = `/api/v1/conversations/${encodeURIComponent(card.conversation)}/turns`;
  return el("a", { class: "proof small", href: path, onclick: event => {
    event.preventDefault();
    show(card, path).catch(() => {});
  } }, `Journal: ${card.conversation}`);
}
