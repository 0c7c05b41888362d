// The charts, drawn by Chart.js, which is loaded when they are first looked at. Series come from GET .../metrics.
import { el, empty, replace } from "/ui/shared/ui.js";
import { dollars, money, words } from "./words.js";

const LIBRARY = "/ui/lib/chart.js";
const LINES_MAX = 12; // customers with a line of their own

let library;

function load() {
  library ??= new Promise((resolve, reject) => {
    const script = el("script", { src: LIBRARY });
    script.addEventListener("load", () => resolve(window.Chart));
    script.addEventListener("error", () => reject(new Error(`${LIBRARY} is not there: install libjs-chart.js`)));
    document.head.append(script);
  });
  return library;
}

const token = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const colours = () => ["--line-1", "--line-2", "--line-3", "--line-4", "--line-5", "--line-6"].map(token);

function options(extra = {}) {
  const values = { beginAtZero: true, suggestedMax: extra.max };
  const text = token("--muted"), grid = token("--line");
  const axis = more => ({ ticks: { color: text, maxRotation: 0, autoSkip: true }, grid: { color: grid }, ...more });
  return {
    responsive: true, maintainAspectRatio: false, animation: false, interaction: { mode: "index", intersect: false },
    plugins: { legend: { display: extra.legend !== false, position: "bottom",
      labels: { color: text, boxWidth: 12, boxHeight: 12, padding: 12 } },
      tooltip: { callbacks: extra.label ? { label: extra.label } : {} } },
    indexAxis: extra.across ? "y" : "x",
    scales: extra.across ? { x: axis({ ...values, ticks: { color: text, callback: extra.tick, maxTicksLimit: 6 } }),
      y: axis({ ticks: { color: text, autoSkip: false } }) }
      : { x: axis({ stacked: !!extra.stacked, title: { display: !!extra.x, text: extra.x, color: text } }),
        y: axis({ ...values, stacked: !!extra.stacked, ticks: { color: text, callback: extra.tick, maxTicksLimit: 6 } }) },
  };
}

const line = (label, data, colour, more = {}) => ({ label, data, borderColor: colour, backgroundColor: colour, borderWidth: 2,
  pointRadius: data.length > 30 ? 0 : 2, tension: 0.25, ...more });
const bars = (label, data, colour) => ({ label, data, backgroundColor: colour, borderRadius: 4, maxBarThickness: 36 });
const percent = value => `${Math.round(value * 100)} %`;

function perPersona(days, series, names, pick, extra) {
  const keys = Object.keys(series).slice(0, LINES_MAX), palette = colours();
  return { type: "line", data: { labels: days,
    datasets: keys.map((key, i) => line(names[key] ?? key, series[key].map(pick), palette[i % palette.length],
    i >= palette.length ? { key, borderDash: [5, 4] } : { key })) }, options: options({ x: "Day", ...extra }) };
}

// One entry per chart: what it is called, what it needs, how it looks.
function charts(m) {
  const [c1, c2, c3, c4, c5] = colours(), good = token("--line-2"), bad = token("--line-5");
  const days = m.days, segments = m.segments, actions = m.actions;
  const palette = [c1, c2, c3, c4, c5, token("--line-6")];
  return [
    ["score", "Engagement score", perPersona(days, m.score, m.names, v => v, { max: 100 })],
    ["status", "Active and churned", { type: "bar",
      data: { labels: days, datasets: [bars("Active", m.active, good), bars("Churned", m.churned, bad)] },
      options: options({ x: "Day", stacked: true }) }],
    ["adapted", "Decisions changed by memory",
      { type: "line", data: { labels: days, datasets: [line("Share", m.adapted, c1, { fill: true, backgroundColor: `${c1}33` })] },
      options: options({ x: "Day", legend: false, max: 1, tick: percent, label: item => percent(item.parsed.y) }) }],
    ["clv", "Customer lifetime value", perPersona(days, m.clv, m.names, v => v,
      { tick: value => m.currency ? money(value, m.currency) : String(Math.round(value / 100)),
        label: item => `${item.dataset.label}: ${money(item.parsed.y, m.currencies[item.dataset.key] ?? m.currency ?? undefined)}` })],
    ["cost", "Model cost a day", { type: "bar", data: { labels: days, datasets: [bars("Cost", m.cost, c3)] },
      options: options({ x: "Day", legend: false, tick: dollars, label: item => dollars(item.parsed.y) }) }],
    ["success", "Success share by action and segment", { type: "bar", data: { labels: actions.map(words),
      datasets: segments.map((segment, i) => bars(segment, m.success[segment], palette[i % palette.length])) },
    options: options({ across: true, max: 1, tick: percent, label: item => `${item.dataset.label}: ${percent(item.parsed.x)}` }) }],
  ];
}

const drawn = new Map(); // id -> Chart

// Draws or redraws all; `metrics` as metricsOf gives it.
export async function drawCharts(node, metrics) {
  if (metrics.days.length === 0) {
    for (const chart of drawn.values())
      chart.destroy();
    drawn.clear();
    replace(node, empty("Charts begin with the first day."));
    return;
  }
  const Chart = await load();
  Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
  if (drawn.size === 0)
    node.replaceChildren(el("div", { class: "chart-grid" },
      ...charts(metrics).map(([id, title]) => el("figure", { class: "card chart", id: `chart-${ id}` },
      el("figcaption", {}, title), el("div", { class: "chart-box" }, el("canvas", { role: "img", "aria-label": title }))))));
  for (const [id, title, config] of charts(metrics)) {
    const canvas = node.querySelector(`#chart-${ id} canvas`);
    canvas.setAttribute("aria-label", `${title}, days ${metrics.days[0]} to ${metrics.days.at(-1)}`);
    const old = drawn.get(id);
    if (old) {
      old.data = config.data;
      old.options = config.options;
      old.update("none");
    } else
      drawn.set(id, new Chart(canvas, config));
  }
}
