// How ids, amounts and shares are told. Knows no page.

// "network_issues" -> "Network issues"
export function words(name) {
  const text = String(name ?? "").replace(/[_.]+/g, " ").trim();
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export const pounds = value => typeof value === "number"
  ? new Intl.NumberFormat("en-GB", { style: "currency", currency: "GBP" }).format(value) : "–";

// Churn and the like: from 0 to 1.
export const riskTone = share => share >= 0.7 ? "bad" : share >= 0.4 ? "warn" : "good";

export const day = at => {
  const time = new Date(at);
  return Number.isNaN(time.getTime()) ? "" : time.toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric" });
};
