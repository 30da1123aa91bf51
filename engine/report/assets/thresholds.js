"use strict";
// The slider: what moving a bound would keep, from counts by value.
(() => {
  const { fld } = globalThis, sliders = fld.payload.page.thresholds;
  const select = document.getElementById("slider-filter"), range = document.getElementById("slider-bound");
  const says = document.getElementById("slider-says"), value = document.getElementById("slider-value");
  if (!sliders.length) { says.textContent = "No filter was asked about anything."; document.getElementById("slider-chart").remove(); return; }
  sliders.forEach((slider, i) => select.append(fld.make("option", { value: i }, `${slider.filter} on ${slider.of}`)));
  const sum = (values) => values.reduce((total, n) => total + n, 0);
  // The filter that drops most comes first: its bound matters most.
  const dropped = sliders.map((slider) => slider.low.length > 4 ? sum(slider.dropped_here) : -1);
  select.value = dropped.indexOf(Math.max(...dropped));
  const current = () => sliders[Number(select.value)];
  // Bounds on offer: every lower edge, and the run's own. Bound k passes bins from k on (high), or up to k (low).
  const bounds = (slider) => [...new Set([...slider.low, slider.bound ?? slider.low[0]])].sort((a, b) => a - b);
  const passes = (slider, bound, low) => slider.keeps === "high" ? low >= bound - 1e-9 : low <= bound + 1e-9;
  fld.whatPasses = (slider, bound) => {
    const of = (label) => sum(slider[label].filter((_, i) => passes(slider, bound, slider.low[i])));
    const asked = sum(slider.kept) + sum(slider.dropped_here) + sum(slider.dropped_later);
    return { asked, passing: of("kept") + of("dropped_here") + of("dropped_later"), kept: of("kept"), added: of("dropped_here"), today: sum(slider.kept) };
  };
  function chartSpec() {
    const slider = current(), bound = bounds(slider)[Number(range.value)];
    const at = slider.low.findIndex((low) => low >= bound - 1e-9);
    return { type: "bar", x: slider.low.map((low) => String(+low.toFixed(2))), xlabel: "value from", ylabel: "annotations", stack: true,
      series: [{ name: "kept", data: slider.kept }, { name: "dropped here", data: slider.dropped_here }, { name: "dropped later", data: slider.dropped_later }],
      marks: [{ at: at < 0 ? slider.low.length - 1 : at, label: `bound ${+bound.toFixed(2)}` }] };
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
