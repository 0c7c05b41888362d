// What a card stands on: the turns of the journal in which the day of that customer was decided, done and learnt.
import { api, dialog, el, empty, table } from "/ui/shared/ui.js";

const SHOWN_MAX = 200;

// A link that opens here what it leads to: asked for with the person's token, which a plain link does not send.
function opens(href, text, show) {
  return el("a", { class: "proof small", href, onclick: event => {
    event.preventDefault();
    show().catch(() => {});
  } }, text);
}

async function showTurn(path) {
  const turn = await api(path);
  await dialog({ title: `Turn ${turn.turn}`, content: [
    el("p", {}, `${turn.component}, ${turn.type}: ${turn.outcome}`),
    el("pre", { class: "record", tabindex: "0", dir: "auto" }, JSON.stringify(turn, null, 2)),
  ] });
}

function turnLink(turn) {
  const path = `/api/v1/turns/${turn}`;
  return opens(path, String(turn), () => showTurn(path));
}

async function showTurns(card, path) {
  const turns = (await api(path)).turns.slice(0, SHOWN_MAX);
  await dialog({ title: `${card.display_name}, day ${card.day}`, content: [
    el("p", {}, "The card says what these turns of the journal did, in this order. A number opens the turn as it is stored."),
    turns.length ? table([
      { key: "turn", title: "Turn", render: turnLink },
      { key: "type", title: "What", render: (type, turn) => [el("div", {}, type), el("div", { class: "muted small" }, turn.component)] },
      { key: "outcome", title: "Outcome" },
    ], turns) : empty("The journal has folded them."),
  ] });
}

export function proofLink(card) {
  if (!card.conversation)
    return null;
  const path = `/api/v1/conversations/${encodeURIComponent(card.conversation)}/turns`;
  return opens(path, `Journal: ${card.conversation}`, () => showTurns(card, path));
}
