"use strict";
// The gallery: filters, an overlay of boxes and masks, phrases that light up their regions, keys and links.
(() => {
  const { fld } = globalThis, { make } = fld, images = fld.payload.page.images;
  const byId = (id) => document.getElementById(id);
  const controls = Object.fromEntries(["phrase", "family", "by", "verdict", "stratum", "source"].map((n) => [n, byId(`filter-${n}`)]));
  const grid = byId("grid"), viewer = byId("viewer"), canvas = byId("canvas"), about = byId("about");
  const showDropped = byId("show-dropped"), showMasks = byId("show-masks");
  const colours = { "region-text": "c0", "scene-text": "c4", "phrase-region": "c2", text: "c3" };
  let shown = [], current = null, lit = null;

  const everything = (image) => [...image.texts.map((t) => ({ ...t, family: "text", words: t.text })),
    ...image.boxes.map((b) => ({ ...b, words: [b.label, ...b.texts.map((t) => t.text)].join(" ") }))];
  const unique = (values) => [...new Set(values)].sort();
  const options = { family: unique(images.flatMap((i) => everything(i).map((a) => a.family))), by: unique(images.flatMap((i) => everything(i).map((a) => a.by))),
    verdict: ["kept", ...unique(images.flatMap((i) => everything(i).filter((a) => !a.kept).map((a) => a.reason)))],
    stratum: unique(images.flatMap((i) => i.strata.map((s) => s.stratum))), source: unique(images.map((i) => i.source)) };
  for (const [name, values] of Object.entries(options)) {
    controls[name].append(make("option", { value: "" }, "all"), ...values.map((v) => make("option", { value: v }, v)));
  }

  const wanted = () => Object.fromEntries(Object.entries(controls).map(([n, c]) => [n, c.value.trim()]));
  function annotationMatches(annotation, want) {
    return (!want.family || annotation.family === want.family) && (!want.by || annotation.by === want.by)
      && (!want.verdict || (want.verdict === "kept" ? annotation.kept : !annotation.kept && annotation.reason === want.verdict))
      && (!want.phrase || annotation.words.toLowerCase().includes(want.phrase.toLowerCase()));
  }
  function imageMatches(image, want) {
    if (want.source && image.source !== want.source) return false;
    if (want.stratum && !image.strata.some((s) => s.stratum === want.stratum)) return false;
    return !(want.family || want.by || want.verdict || want.phrase) || everything(image).some((a) => annotationMatches(a, want));
  }
  function boxShown(box, want) {
    const asked = want.verdict && want.verdict !== "kept";
    if (!box.kept && !showDropped.checked && !asked) return false;
    const words = [box.label, ...box.texts.map((t) => t.text)].join(" ");
    const named = want.phrase && current.boxes.some((b) => annotationMatches({ ...b, words: [b.label, ...b.texts.map((t) => t.text)].join(" ") }, { ...want, family: "", by: "", verdict: "" }));
    return annotationMatches({ ...box, words }, { ...want, phrase: named ? want.phrase : "", family: want.family === "text" ? "" : want.family });
  }

  function refresh() {
    const want = wanted();
    shown = images.filter((image) => imageMatches(image, want));
    byId("found").textContent = `${shown.length} of ${images.length} images`;
    grid.replaceChildren(...shown.map((image) => make("li", {}, make("button", { type: "button", "data-image": image.id, "aria-label": `Open image ${image.id}`, "aria-current": current === image, onclick: () => open(image) },
      make("img", { src: image.picture, alt: alt(image), width: image.width, height: image.height, loading: "lazy" }),
      make("span", {}, image.strata.map((s) => `${s.stratum}: ${s.note}`).join("; "))))));
    if (current) draw();
  }
  const alt = (image) => (image.texts.find((t) => t.kept) || image.texts[0] || { text: `Image ${image.id.slice(0, 8)} without a text` }).text;

  function open(image, box = null) {
    current = image;
    lit = box;
    viewer.hidden = false;
    draw();
    const hash = `#image=${image.id}` + (box ? `&box=${box}` : "");
    if (location.hash !== hash) history.replaceState(null, "", hash);
    byId("link").href = hash;
    for (const button of grid.querySelectorAll("button")) button.toggleAttribute("aria-current", button.dataset.image === image.id);
    viewer.scrollIntoView({ block: "nearest" });
  }
  function close() {
    const id = current && current.id;
    current = null;
    viewer.hidden = true;
    history.replaceState(null, "", location.pathname + location.search);
    const button = grid.querySelector(`[data-image="${CSS.escape(id || "")}"]`);
    if (button) { button.removeAttribute("aria-current"); button.focus(); }
  }
  function step(by) {
    if (!shown.length) return;
    const place = shown.indexOf(current);
    open(shown[place < 0 ? 0 : (place + by + shown.length) % shown.length]);
  }

  const title = (box) => `${box.label || box.family} ${box.score.toFixed(2)} ${box.by}${box.kept ? "" : `, dropped: ${box.reason}`}`;
  const area = ([x1, y1, x2, y2]) => (x2 - x1) * (y2 - y1);
  // Boxes on the same place are drawn as one: a region and the phrases that were matched to it.
  function places(boxes) {
    const found = new Map();
    for (const box of boxes) {
      const key = `${box.xyxy}|${box.quad}|${box.kept}`;
      found.set(key, [...(found.get(key) || []), box]);
    }
    const rank = Object.keys(colours);
    for (const group of found.values()) group.sort((a, b) => rank.indexOf(a.family) - rank.indexOf(b.family));
    return [...found.values()].sort((a, b) => area(b[0].xyxy) - area(a[0].xyxy)); // small ones last, to be pointed at
  }
  function draw() {
    const want = wanted(), boxes = current.boxes.filter((box) => boxShown(box, want));
    const svg = make("svg", { viewBox: `0 0 ${current.width} ${current.height}`, role: "group", "aria-label": "Boxes and masks" });
    const masked = showMasks.checked ? boxes.filter((box) => box.polygons.length) : [];
    masked.forEach((box, i) => box.polygons.forEach((polygon) => svg.append(make("polygon", { class: "mask", "data-mask": box.id, points: polygon.join(" "), fill: fld.colour(`c${i % 6}`) }))));
    for (const group of places(boxes)) {
      const box = group[0], [x1, y1, x2, y2] = box.xyxy, ids = group.map((b) => b.id);
      const common = { class: `box${box.kept ? "" : " off"}`, "data-box": box.id, "data-boxes": ids.join(" "), stroke: stroke(box), onclick: () => open(current, box.id), onmouseenter: () => light(ids, group.map((b) => b.phrase)), onmouseleave: () => light([]) };
      const shape = box.quad.length === 8 ? make("polygon", { ...common, points: box.quad.join(" ") }) : make("rect", { ...common, x: x1, y: y1, width: x2 - x1, height: y2 - y1 });
      shape.append(make("title", {}, group.map(title).join("\n")));
      svg.append(shape);
    }
    canvas.replaceChildren(make("img", { src: current.picture, alt: alt(current), width: current.width, height: current.height }), svg);
    describe(boxes);
    if (lit) light([lit]);
  }
  const stroke = (box) => box.kept ? fld.colour(colours[box.family]) : fld.colour("dropped");
  function light(ids, phrases = []) {
    const on = new Set(ids), named = new Set(phrases);
    for (const shape of canvas.querySelectorAll(".box")) {
      const is = shape.dataset.boxes.split(" ").some((id) => on.has(id));
      shape.classList.toggle("lit", is);
      shape.classList.toggle("dim", on.size > 0 && !is);
    }
    for (const mark of about.querySelectorAll("mark")) mark.classList.toggle("lit", named.has(mark.dataset.phrase));
  }

  function textWithPhrases(text) {
    const line = make("p", { lang: "en" });
    const characters = Array.from(text.text); // spans count code points
    let place = 0;
    const phrases = text.phrases.filter((p) => p.kept || showDropped.checked).sort((a, b) => a.start - b.start || b.end - a.end);
    for (const phrase of phrases) {
      if (phrase.start < place) continue;
      line.append(characters.slice(place, phrase.start).join(""));
      const boxes = current.boxes.filter((b) => b.phrase === phrase.id).map((b) => b.id);
      const on = () => light(boxes, [phrase.id]);
      line.append(make("mark", { class: phrase.kept ? null : "off", tabindex: 0, "data-phrase": phrase.id, title: `${boxes.length} boxes, score ${phrase.score}${phrase.derived ? ", derived" : ""}${phrase.kept ? "" : `, dropped: ${phrase.reason}`}`,
        onmouseenter: on, onfocus: on, onmouseleave: () => light([]), onblur: () => light([]), onclick: () => provenance(phrase, phrase.phrase) }, characters.slice(phrase.start, phrase.end).join("")));
      place = phrase.end;
    }
    line.append(characters.slice(place).join(""));
    return line;
  }
  function describe(boxes) {
    const texts = current.texts.filter((t) => t.kept || showDropped.checked);
    about.replaceChildren(
      make("div", { id: "provenance" }),
      ...texts.flatMap((text) => [make("h3", { class: text.kept ? null : "dropped" }, `${text.granularity.replaceAll("_", " ")}${text.composed ? ", composed" : ""}${text.kept ? "" : `, dropped: ${text.reason}`} `, make("button", { type: "button", class: "csv", onclick: () => provenance(text, text.text) }, "source")), textWithPhrases(text)]),
      make("h3", {}, `${boxes.length} boxes shown` + (current.boxes_left_out ? `, ${current.boxes_left_out} more are not on this page` : "")),
      make("ul", {}, ...listed(boxes).map(([box, ...others]) => make("li", {}, make("button", { type: "button", "data-row": box.id, class: box.kept ? null : "dropped", onmouseenter: () => light([box.id], [box.phrase]), onmouseleave: () => light([]), onfocus: () => light([box.id], [box.phrase]), onclick: () => open(current, box.id) },
        swatch(box), `${box.label || "–"} · ${box.score.toFixed(2)} · ${box.by}${box.kept ? "" : ` · ${box.reason}`}`), also(others)))),
      make("h3", {}, "Image"),
      list({ id: current.id, source: current.source, found: current.uri, licence: current.licence || "not stated", size: `${current.width} × ${current.height}`, partition: current.partition, "why it is here": current.strata.map((s) => `${s.stratum} (${s.note})`).join("; "), ...current.status }),
    );
    const box = current.boxes.find((b) => b.id === lit);
    if (box) provenance(box, box.label);
  }
  // One line for each place: objects first, then scene text, then phrases that no region was matched to.
  function listed(boxes) {
    const rank = Object.keys(colours);
    return places(boxes).sort((a, b) => b[0].kept - a[0].kept || rank.indexOf(a[0].family) - rank.indexOf(b[0].family) || b[0].score - a[0].score);
  }
  function also(others) {
    const said = [...new Set(others.map((box) => box.label))].join(", ");
    return said ? make("small", {}, ` in the texts: ${said}`) : null;
  }
  function swatch(box) {
    const mark = make("span", { class: "swatch" });
    mark.style.background = stroke(box);
    return mark;
  }
  function list(entries) {
    return make("dl", {}, ...Object.entries(entries).flatMap(([key, value]) => [make("dt", {}, key), make("dd", {}, String(value))]));
  }
  function provenance(annotation, title) {
    const values = Object.entries(annotation.values).map(([name, value]) => `${name} ${value}`).join(", ");
    const texts = (annotation.texts || []).map((t) => `${t.kind} “${t.text}” (${t.by}${t.chosen ? ", chosen" : ""}${t.kept ? "" : `, dropped: ${t.reason}`})`).join("; ");
    const facts = { verdict: annotation.kept ? "kept" : `dropped: ${annotation.reason}`, score: annotation.score, "decided on": values || "–", specialist: annotation.by, model: annotation.model, revision: annotation.revision, round: annotation.round, id: annotation.id };
    if (annotation.xyxy) facts.box = annotation.xyxy.join(", ");
    if (texts) facts.texts = texts;
    if (annotation.derived) facts.derived = "yes: agrees by construction";
    byId("provenance").replaceChildren(make("div", { class: "provenance" }, make("h3", {}, title || "–"), list(facts)));
  }

  function fromLink() {
    const asked = new URLSearchParams(location.hash.slice(1));
    const image = images.find((i) => i.id === asked.get("image"));
    if (image) open(image, asked.get("box"));
    else if (asked.get("image")) byId("found").textContent = `image ${asked.get("image")} is not in this sample; ask fld explain`;
  }
  byId("filters").addEventListener("input", refresh);
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("filters").addEventListener("reset", () => setTimeout(refresh));
  byId("previous").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));
  byId("close").addEventListener("click", close);
  addEventListener("hashchange", fromLink);
  const keys = { ArrowRight: () => step(1), j: () => step(1), ArrowLeft: () => step(-1), k: () => step(-1), Escape: () => current && close(),
    d: () => showDropped.click(), m: () => showMasks.click(), "/": () => controls.phrase.focus(),
    Enter: () => !current && shown.length && open(shown[0]) };
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && document.activeElement === controls.phrase) { controls.phrase.blur(); return; }
    if (event.ctrlKey || event.metaKey || event.altKey || byId("definition").open || /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName) && document.activeElement.type !== "checkbox") return;
    if (event.key === "Enter" && document.activeElement !== document.body) return;
    const act = keys[event.key];
    if (act) { act(); event.preventDefault(); }
  });
  fld.redraw.push(() => current && draw());
  refresh();
  fromLink();
})();
