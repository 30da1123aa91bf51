"use strict";
// Before beside after, for the images in which most changed.
(() => {
  const { fld } = globalThis, { make } = fld, home = document.getElementById("pairs");
  function side(title, image) {
    if (!image) return make("div", { class: "side" }, make("p", {}, `${title}: not there`));
    const svg = make("svg", { viewBox: `0 0 ${image.width} ${image.height}` });
    for (const box of image.boxes.filter((b) => b.kept)) {
      const [x1, y1, x2, y2] = box.xyxy;
      const shape = make("rect", { x: x1, y: y1, width: x2 - x1, height: y2 - y1, stroke: fld.colour(box.family === "region-text" ? "c0" : box.family === "scene-text" ? "c4" : "c2") });
      shape.append(make("title", {}, `${box.label} ${box.score}`));
      svg.append(shape);
    }
    const labels = image.boxes.filter((b) => b.kept && b.family !== "phrase-region").map((b) => b.label).join(", ");
    return make("div", { class: "side" }, make("p", {}, title), make("div", { class: "frame" }, make("img", { src: image.picture, alt: `${title}: ${labels || "no region"}`, width: image.width, height: image.height }), svg),
      make("p", {}, labels || "no region"), ...image.texts.filter((t) => t.kept).map((t) => make("p", {}, `${t.granularity.replaceAll("_", " ")}: ${t.text}`)));
  }
  function draw() {
    home.replaceChildren(...fld.payload.page.pairs.map((pair) => make("article", { class: "pair", "data-image": pair.id }, make("h3", {}, `${pair.id}: ${pair.changes} changes`), side("Before", pair.before), side("After", pair.after))));
  }
  fld.redraw.push(draw);
  draw();
})();
