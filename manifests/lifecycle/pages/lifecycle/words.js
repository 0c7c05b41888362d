// How actions, amounts and outcomes are told. Knows no page.

// "SEND_DISCOUNT" -> "Send discount"
export function words(name) {
  const text = String(name ?? "").replace(/[_.]+/g, " ").trim().toLowerCase();
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export const signed = value => typeof value !== "number" ? "" : value > 0 ? `+${round(value)}` : value < 0 ? `−${round(-value)}` : "±0";

export const round = value => Math.round(value * 10) / 10;

export const toneOf = value => value > 0 ? "good" : value < 0 ? "bad" : "";

// Minor units with their currency.
export function money(minor, currency = "NGN") {
  if (typeof minor !== "number")
    return "–";
  const digits = new Intl.NumberFormat("en", { style: "currency", currency }).resolvedOptions().maximumFractionDigits;
  return new Intl.NumberFormat("en", { style: "currency", currency, currencyDisplay: "narrowSymbol",
    maximumFractionDigits: 0 }).format(minor / 10 ** digits);
}

// {currency: minor units}: sums of different currencies stand side by side.
export function totals(byCurrency) {
  const sums = Object.entries(byCurrency ?? {}).map(([currency, minor]) => money(minor, currency));
  return sums.length ? sums.join(" + ") : "–";
}

export function dollars(value) {
  if (typeof value !== "number")
    return "–";
  return value === 0 ? "$0" : value < 0.01 ? `$${value.toFixed(6)}` : `$${value.toFixed(2)}`;
}

export const SOURCES = {
  rule: "Decided by a rule",
  llm: "Decided by a language model",
  fallback: "Decided by the fallback",
  explore: "Exploring something new",
};
