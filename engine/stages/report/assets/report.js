"use strict";
// Theme, definitions, CSV and charts of every page. Text from the dataset only ever becomes text nodes.
const payload = JSON.parse(document.getElementById("payload").textContent);
const fld = { payload, charts: new Map(), redraw: [] };

fld.make = (name, attributes = {}, ...children) => {
  const svg = ["svg", "rect", "polygon", "title", "g"].includes(name);
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
};
fld.colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
fld.number = (value) => typeof value !== "number" ? value : Number.isInteger(value) ? value.toLocaleString("en") : String(+value.toPrecision(4));

function remember(theme) { try { localStorage.setItem("fld-theme", theme); } catch { /* a file may have no storage */ } }
function remembered() { try { return localStorage.getItem("fld-theme"); } catch { return null; } }
function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  for (const draw of fld.redraw) draw();
}
const preferred = matchMedia("(prefers-color-scheme: dark)");
document.documentElement.dataset.theme = remembered() || (preferred.matches ? "dark" : "light");
preferred.addEventListener("change", (event) => { if (!remembered()) setTheme(event.matches ? "dark" : "light"); });
document.getElementById("theme").addEventListener("click", () => {
  const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  remember(theme);
  setTheme(theme);
});
let before = null;
addEventListener("beforeprint", () => { before = document.documentElement.dataset.theme; setTheme("light"); });
addEventListener("afterprint", () => { if (before) setTheme(before); });

const dialog = document.getElementById("definition");
document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-definition]");
  if (link) {
    const entry = payload.definitions[link.dataset.definition];
    dialog.querySelector("h2").textContent = entry[0];
    dialog.querySelector("p").textContent = entry[1];
    dialog.querySelector(".source").textContent = `Source: ${entry[2]}`;
    dialog.showModal();
    event.preventDefault();
  }
  const button = event.target.closest("[data-csv]");
  if (button) saveCsv(button.dataset.csv);
});

fld.csv = (name) => {
  const cell = (value) => value === null ? "" : /[",\n\r]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : String(value);
  const { columns, rows } = payload.tables[name];
  return [columns, ...rows].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
};
function saveCsv(name) {
  const link = fld.make("a", { href: URL.createObjectURL(new Blob([fld.csv(name)], { type: "text/csv" })), download: `${name}.csv` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function axisStyle() {
  const soft = fld.colour("soft"), line = fld.colour("line");
  return { axisLabel: { color: soft, hideOverlap: true }, axisLine: { lineStyle: { color: line } }, axisTick: { show: false },
    splitLine: { lineStyle: { color: line, opacity: 0.6 } }, nameTextStyle: { color: soft }, nameLocation: "middle" };
}
function base() {
  return { animation: false, textStyle: { fontFamily: getComputedStyle(document.body).fontFamily, color: fld.colour("ink") },
    color: ["c0", "c1", "c2", "c3", "c4", "c5"].map(fld.colour),
    tooltip: { trigger: "axis", axisPointer: { type: "shadow" }, confine: true, backgroundColor: fld.colour("card"), borderColor: fld.colour("line"),
      textStyle: { color: fld.colour("ink") }, valueFormatter: fld.number } };
}
const short = (value) => value >= 1e6 ? `${+(value / 1e6).toPrecision(3)}M` : value >= 1e3 ? `${+(value / 1e3).toPrecision(3)}k` : String(+value.toPrecision(3));
const symbols = ["circle", "triangle", "rect", "diamond", "pin", "arrow"];
const dashes = ["solid", "dashed", "dotted"];

fld.option = (spec) => {
  if (spec.type === "heat") return heatOption(spec);
  if (spec.type === "matrix") return matrixOption(spec);
  const named = spec.series.length > 1, lying = spec.type === "rows", style = axisStyle();
  const legend = { show: named, top: 0, type: "scroll", textStyle: { color: fld.colour("soft") }, itemHeight: 10 };
  const longest = Math.max(...spec.x.map((label) => label.length));
  const category = { type: "category", data: spec.x, inverse: lying, name: spec.xlabel, nameGap: lying ? 8 * Math.min(longest, 22) + 14 : 26, ...style,
    axisLabel: { ...style.axisLabel, ...(lying ? { width: 150, overflow: "truncate", interval: 0 } : {}) }, ...(lying ? { name: "" } : {}) };
  const value = { type: "value", name: spec.ylabel, nameGap: lying ? 26 : 42, ...style, axisLabel: { ...style.axisLabel, formatter: short } };
  const colours = { kept: fld.colour("kept"), dropped: fld.colour("dropped"), "dropped here": fld.colour("dropped"), "dropped later": fld.colour("c4") };
  const series = spec.series.map((one, i) => {
    const line = spec.type === "line" || (spec.type === "calibration" && i === 1);
    return { name: one.name || spec.ylabel, type: line ? "line" : "bar", data: one.data, stack: spec.stack ? "all" : undefined,
      barMaxWidth: 26, barCategoryGap: spec.x.length > 30 ? "4%" : "20%", symbol: line && spec.x.length < 30 && spec.type === "line" ? symbols[i % 6] : "none", symbolSize: 6,
      lineStyle: { width: 2, type: dashes[Math.floor(i / 2) % 3] }, itemStyle: colours[one.name] ? { color: colours[one.name] } : {},
      label: lying && !named ? { show: true, position: "right", color: fld.colour("soft"), formatter: (p) => fld.number(p.value) } : undefined,
      markLine: i === 0 && spec.marks && spec.marks.length ? { symbol: "none", silent: true, lineStyle: { color: fld.colour("ink"), type: "dashed" },
        label: { color: fld.colour("ink"), formatter: (p) => p.name, position: "end", distance: 4 }, data: spec.marks.map((mark) => ({ xAxis: mark.at, name: mark.label })) } : undefined };
  });
  const grid = { left: lying ? 12 : 58, right: lying ? 60 : 14, top: (named ? 34 : 14) + (spec.marks && spec.marks.length ? 16 : 0), bottom: lying ? 34 : 46, containLabel: lying };
  return { ...base(), legend, grid, series, xAxis: lying ? value : category, yAxis: lying ? category : value };
};
function heatOption(spec) {
  const style = axisStyle(), cells = Array.from({ length: spec.side }, (_, i) => i);
  const axis = { type: "category", data: cells, show: false, ...style };
  const most = Math.max(1, ...spec.cells.map((cell) => cell[2]));
  return { ...base(), tooltip: { ...base().tooltip, trigger: "item", formatter: (p) => `${fld.number(p.value[2])} boxes` },
    grid: { left: 2, right: 2, top: 2, bottom: 46, show: true, borderColor: fld.colour("line"), backgroundColor: fld.colour("heat0") },
    xAxis: axis, yAxis: { ...axis, inverse: true },
    visualMap: { min: 0, max: most, calculable: false, orient: "horizontal", left: "center", bottom: 4, itemHeight: 120, itemWidth: 12,
      text: [fld.number(most), "0"], textStyle: { color: fld.colour("soft") }, inRange: { color: ["heat0", "heat1", "heat2"].map(fld.colour) } },
    series: [{ type: "heatmap", data: spec.cells, progressive: 0 }] };
}
function matrixOption(spec) {
  const style = axisStyle(), percent = (part) => `${+(100 * part).toPrecision(3)}%`;
  const most = Math.max(...spec.cells.map((cell) => cell[2]), 0.01);
  return { ...base(), tooltip: { ...base().tooltip, trigger: "item", formatter: (p) => `${percent(p.value[2])} of the ${spec.of}` },
    grid: { left: 8, right: 14, top: 8, bottom: 62, containLabel: true, show: true, borderColor: fld.colour("line"), backgroundColor: fld.colour("heat0") },
    xAxis: { type: "category", data: spec.x, name: spec.xlabel, nameGap: 24, ...style, splitLine: { show: false } },
    yAxis: { type: "category", data: spec.y, inverse: true, ...style, splitLine: { show: false }, axisLabel: { ...style.axisLabel, width: 110, overflow: "truncate", interval: 0 } },
    visualMap: { min: 0, max: most, orient: "horizontal", left: "center", bottom: 0, itemHeight: 120, itemWidth: 12, text: [percent(most), "0"],
      textStyle: { color: fld.colour("soft") }, inRange: { color: ["heat0", "heat1", "heat2"].map(fld.colour) } },
    series: [{ type: "heatmap", data: spec.cells, progressive: 0 }] };
}
fld.draw = (element, spec) => {
  const chart = echarts.init(element, null, { renderer: "svg" });
  const draw = () => chart.setOption(fld.option(spec()), { notMerge: true });
  draw();
  fld.redraw.push(draw);
  new ResizeObserver(() => chart.resize()).observe(element);
  fld.charts.set(element.dataset.chart || element.id, chart);
  return draw;
};
// Charts are drawn when they come near the window, so that a page opens at once.
if (typeof echarts !== "undefined") {
  const drawn = new WeakSet();
  fld.drawNow = (element) => {
    if (drawn.has(element)) return;
    drawn.add(element);
    fld.draw(element, () => payload.charts[element.dataset.chart]);
  };
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) { watcher.unobserve(entry.target); fld.drawNow(entry.target); }
  }, { rootMargin: "400px" });
  const all = document.querySelectorAll("[data-chart]");
  for (const element of all) watcher.observe(element);
  addEventListener("beforeprint", () => all.forEach(fld.drawNow));
}
globalThis.fld = fld;
