// The story: days, newest first, with a card for each customer. Says only what a card holds, and links to what proves it.
import { badge, el, empty as nothing } from "/ui/shared/ui.js";
import { proofLink } from "./proof.js";
import { signed, SOURCES, toneOf, round, words } from "./words.js";

const CARDS_MAX = 60; // of one day; the rest stays one click away

function outcomeBadge(card) {
  if (card.outcome === "SUCCESS")
    return badge("Success", "good");
  return card.outcome === "FAILED" ? badge("Failed", "bad") : badge("No outcome");
}

function step(kind, label, ...content) {
  return el("div", { class: `beat ${kind}` }, el("h4", {}, label), ...content);
}

function memoryLine(card) {
  const parts = [];
  if (card.forbidden?.length)
    parts.push(`avoided ${card.forbidden.map(words).join(", ").toLowerCase()}`);
  if (card.hints?.length)
    parts.push(`remembered ${card.hints.map(words).join(", ").toLowerCase()} as a success`);
  return parts.length ? el("p", { class: "muted small" }, `Memory: ${parts.join("; ")}`) : null;
}

export function storyCard(card) {
  const impact = card.impact ?? 0, churned = card.status === "churned";
  return el("article", { class: `story-card ${churned ? "churned" : ""}`, "data-persona": card.persona_key, "data-day": String(card.day) },
    el("header", {}, el("h3", { dir: "auto" }, card.display_name ?? card.persona_key),
      churned ? badge("Churned", "bad") : null,
      card.adapted ? badge("Adapted by memory", "lilac") : null,
      outcomeBadge(card)),
    card.headline ? el("p", { class: "headline", dir: "auto" }, card.headline) : null,
    el("div", { class: "beats" },
      step("thought", "Thought", el("p", { dir: "auto" }, card.thought ?? ""), memoryLine(card)),
      step("action", "Action", el("p", { class: "action-name" }, words(card.action)),
        el("p", { class: "muted small" }, SOURCES[card.source] ?? words(card.source))),
      step("impact", "Impact", el("p", { class: `impact-value text-${toneOf(impact)}` }, signed(impact)),
        el("p", { class: "muted small" }, `Score ${round(card.score_before ?? 0)} → ${round(card.score_after ?? 0)}`))),
    el("footer", {}, el("span", { class: "muted small", dir: "auto" },
      card.thought?.includes(card.observation) ? "" : card.observation ?? ""),
      proofLink(card)));
}

function daySection(day) {
  const cards = el("div", { class: "cards" });
  const section = el("section", { class: "day", "data-day": String(day), "aria-label": `Day ${day}` },
    el("h3", { class: "day-title" }, `Day ${day}`), cards);
  section.cards = cards;
  return section;
}

// A board into `node`. `older()` is called for days further back.
export function storyBoard(node, older) {
  const days = new Map(); // day -> {section, cards}
  const more = el("button", { type: "button", id: "older", hidden: "", onclick: older }, "Show earlier days");
  const empty = nothing("Nothing has happened yet. Run the first day.");
  node.replaceChildren(empty, more);

  function sectionOf(day) {
    if (!days.has(day)) {
      const section = daySection(day);
      const next = [...days.keys()].filter(other => other < day).sort((a, b) => b - a)[0];
      node.insertBefore(section, next === undefined ? more : days.get(next).section);
      days.set(day, { section, cards: new Map(), hidden: 0 });
    }
    empty.hidden = true;
    return days.get(day);
  }

  function add(card) {
    const day = sectionOf(card.day), old = day.cards.get(card.persona_key);
    if (!old && day.section.cards.childElementCount >= CARDS_MAX) {
      day.hidden += 1;
      day.rest ??= day.section.appendChild(el("p", { class: "muted small" }));
      day.rest.textContent = `and ${day.hidden} more customers; the export has them all`;
      return;
    }
    const fresh = storyCard(card);
    day.cards.set(card.persona_key, fresh);
    if (old)
      old.replaceWith(fresh);
    else
      day.section.cards.append(fresh);
  }

  return {
    add,
    clear() {
      for (const { section } of days.values())
        section.remove();
      days.clear();
      empty.hidden = false;
    },
    has: day => days.has(day),
    oldest: () => Math.min(...days.keys()),
    offer(there) { more.hidden = !there; },
    say(text) { empty.textContent = text; },
  };
}
