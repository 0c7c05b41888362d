/* The first page: what pages there are, and how the host is. */
import { api, badge, card, duration, el, empty, header, replace, stat } from "/ui/shared/ui.js";

const HEALTH_MS = 10000;

function figure(label, value, note) {
  return card({}, stat(label, value), note && el("p", { class: "muted small" }, note));
}

function showHealth(health) {
  const down = health.down || [];
  const models = Object.values(health.models || {});
  const ready = models.filter((model) => model.ready).length;
  const tone = { healthy: "good", degraded: "warn" }[health.status] || "bad";
  const plugins = health.plugins || {};
  replace(document.querySelector("#health"),
    figure("Health", badge(health.status, tone), health.reason),
    health.uptime_seconds === undefined ? null
      : figure("Running for", duration(health.uptime_seconds), health.version && `cvmhost ${health.version}`),
    plugins.loaded === undefined ? null
      : figure("Plugins", plugins.loaded, plugins.failed ? `${plugins.failed} crashed the host and are not loaded` : null),
    down.length ? figure("Components out of service", down.length, down.join(", ")) : null,
    models.length ? figure("Text models ready", `${ready} of ${models.length}`) : null,
    health.quarantined ? figure("Plugins in quarantine", health.quarantined.length, health.quarantined.join(", "))
      : null,
    health.safe_mode ? figure("Mode", badge("safe mode", "warn")) : null);
}

/* An unhealthy host says so with a 503 that is no problem of the request. */
async function readHealth() {
  try {
    const response = await fetch("/health", { cache: "no-store" });
    showHealth(await response.json());
  } catch {
    showHealth({ status: "no answer" });
  }
}

async function readPages() {
  const { pages } = await api("/api/v1/pages");
  const others = pages.filter((page) => page.path !== location.pathname);
  replace(document.querySelector("#pages"), others.length
    ? others.map((page) => el("a", { class: "card", href: page.path },
      el("h3", {}, page.title), el("p", { class: "muted small" }, `${page.path}, from ${page.plugin}`)))
    : empty("No plugin has brought a page."));
}

header("Overview");
readHealth();
readPages().catch(() => {});
setInterval(readHealth, HEALTH_MS);
