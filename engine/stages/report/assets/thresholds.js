"use strict";
// The slider: what moving a bound would keep, from counts by value.
(() => {
  const { fld } = globalThis, sliders = fld.payload.page.thresholds;
  const select = document.getElementById("slider-filter"), range = document.getElementById("slider-bound");
  const says = document.getElementById("slider-says"), value = document.getElementById("slider-value");
  if (!sliders.length) { says.textContent = "No filter was asked about anything."; document.getElementById("slider-chart").remove(); return; }
  sliders.forEach((slider, i) => select.append(fld.make("option", { value: i }, `${slider.filter} on ${slider.of}`)));
  const sum = (values) => values.reduce((total, n) => total + n, 0);
  // The filter that drops most comes first, one that keeps high values before others: its bound matters most.
  const dropped = sliders.map((slider) => slider.edges.length > 4 ? (slider.keeps === "high") * 1e15 + sum(slider.dropped_here) : -1);
  select.value = dropped.indexOf(Math.max(...dropped));
  const current = () => sliders[Number(select.value)];
  // Bounds on offer: every edge, and the run's own. A bound passes bins from its edge on (high), or up to it (low).
  const bounds = (slider) => [...new Set([...slider.edges, slider.bound ?? slider.edges[0]])].sort((a, b) => a - b);
  const passes = (slider, bound, edge) => slider.keeps === "high" ? edge >= bound - 1e-9 : edge <= bound + 1e-9;
  fld.whatPasses = (slider, bound) => {
    const of = (label) => sum(slider[label].filter((_, i) => passes(slider, bound, slider.edges[i])));
    const asked = sum(slider.kept) + sum(slider.dropped_here) + sum(slider.dropped_later);
    return { asked, passing: of("kept") + of("dropped_here") + of("dropped_later"), kept: of("kept"), added: of("dropped_here"), today: sum(slider.kept) };
  };
  function chartSpec() {
    const slider = current(), bound = bounds(slider)[Number(range.value)];
    const at = slider.edges.findIndex((edge) => edge >= bound - 1e-9);
    return { type: "bar", x: slider.edges.map((edge) => String(+edge.toFixed(2))), xlabel: slider.keeps === "high" ? "value from" : "value up to", ylabel: "annotations", stack: true,
      series: [{ name: "kept", data: slider.kept }, { name: "dropped here", data: slider.dropped_here }, { name: "dropped later", data: slider.dropped_later }],
      marks: [{ at: at < 0 ? slider.edges.length - 1 : at, label: `bound ${+bound.toFixed(2)}` }] };
  }
  let draw = null;
  function tell() {
    const slider = current(), bound = bounds(slider)[Number(range.value)], now = fld.whatPasses(slider, bound);
    value.textContent = `${slider.keeps === "high" ? "≥" : "≤"} ${+bound.toFixed(3)}`;
    const share = (part) => now.asked ? ` (${(100 * part / now.asked).toFixed(1)}%)` : "";
    const total = now.kept + now.added;
    says.textContent = `${fld.number(now.passing)} of ${fld.number(now.asked)} pass${share(now.passing)}. ` +
      `${now.added ? "At most " : ""}${fld.number(total)} would be kept${share(total)}; today ${fld.number(now.today)} are` +
      (slider.bound === null ? "." : `, with the bound ${slider.bound}.`);
    if (draw) draw();
  }
  function choose() {
    const slider = current(), list = bounds(slider);
    range.max = list.length - 1;
    range.value = Math.max(0, list.findIndex((bound) => bound >= (slider.bound ?? list[0]) - 1e-9));
    tell();
  }
  select.addEventListener("change", choose);
  range.addEventListener("input", tell);
  document.getElementById("slider-reset").addEventListener("click", choose);
  choose();
  draw = fld.draw(document.getElementById("slider-chart"), chartSpec);
})();
