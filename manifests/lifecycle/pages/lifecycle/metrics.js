// What the charts need, out of the answer of GET /api/v1/lifecycle/metrics.

const share = (part, whole) => whole > 0 ? part / whole : 0;

// Keeps the days for which `wanted` holds.
export function metricsOf(answer, state, wanted) {
  const kept = (answer.days ?? []).map((day, i) => [day, i]).filter(([day]) => wanted(day));
  const cut = series => kept.map(([, i]) => series?.[i] ?? null);
  const cutAll = table => Object.fromEntries(Object.entries(table ?? {}).map(([key, series]) => [key, cut(series)]));
  const bySegment = answer.success ?? {};
  const segments = Object.keys(bySegment), actions = [...new Set(segments.flatMap(segment => Object.keys(bySegment[segment])))].sort();
  return {
    days: kept.map(([day]) => day),
    names: Object.fromEntries((state.customers ?? []).map(c => [c.persona_key, c.display_name])),
    currency: state.currency ?? null, // null: they have several
    currencies: Object.fromEntries((state.customers ?? []).map(c => [c.persona_key, c.currency])),
    score: cutAll(answer.score), clv: cutAll(answer.clv),
    active: cut(answer.active), churned: cut(answer.churned), adapted: cut(answer.adapted), cost: cut(answer.cost_usd),
    segments, actions,
    success: Object.fromEntries(segments.map(segment => [segment, actions.map(action => {
      const of = bySegment[segment][action];
      return of ? share(of.successes, of.tries) : null;
    })])),
  };
}
