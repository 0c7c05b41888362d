// What the states and steps of a ticket are called, and how times are told. Knows no page.

export const STATES = {
  PENDING: { text: "Pending", tone: "info", active: true },
  RUNNING: { text: "Running", tone: "info", active: true },
  WAITING_FOR_APPROVAL: { text: "Waiting for approval", tone: "warn", active: true },
  WAITING_FOR_CUSTOMER: { text: "Waiting for the customer", tone: "lilac", active: true },
  WAITING: { text: "Waiting", tone: "warn", active: true },
  COMPLETED: { text: "Completed", tone: "good", active: false },
  REJECTED: { text: "Rejected", tone: "bad", active: false },
  TIMED_OUT: { text: "Timed out", tone: "bad", active: false },
  FAILED: { text: "Failed", tone: "bad", active: false },
  TERMINATED: { text: "Terminated", tone: "", active: false },
};

export const stateOf = status => STATES[status] ?? { text: words(status ?? "unknown"), tone: "", active: true };

// "notify_not_entitled" -> "Notify not entitled"
export function words(name) {
  const text = String(name).replace(/[_.]+/g, " ").trim();
  return text.charAt(0).toUpperCase() + text.slice(1).toLowerCase();
}

// Milliseconds as a person says them: "23 h 59 min", "4 min 10 s", "8 s".
export function span(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s >= 86400)
    return `${Math.floor(s / 86400)} d ${Math.floor(s % 86400 / 3600)} h`;
  if (s >= 3600)
    return `${Math.floor(s / 3600)} h ${Math.floor(s % 3600 / 60)} min`;
  if (s >= 60)
    return `${Math.floor(s / 60)} min ${s % 60} s`;
  return `${s} s`;
}

export function duration(ms) {
  if (typeof ms !== "number")
    return "";
  return ms < 1 ? "< 1 ms" : ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

export const timeOf = at => typeof at === "number" ? at : Date.parse(at ?? "");

export function clock(at) {
  const time = timeOf(at);
  return Number.isNaN(time) ? "" : new Date(time).toLocaleString("en-GB",
    { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" });
}
