// What every page shares: numbers as people read them, colours, theme, the tip beside the pointer, and mounting of charts.
"use strict";
const PM = {};

PM.data = JSON.parse(document.getElementById("data").textContent);

// ------------------------------------------------------------------------------------------------- numbers
PM.digits = (v) => {
  const m = Math.abs(v);
  if (m === 0) return "0";
  if (m >= 99.95) return v.toFixed(0);
  if (m >= 9.995) return v.toFixed(1);
  if (m >= 0.9995) return v.toFixed(2);
  return m >= 0.1 ? v.toFixed(3) : v.toPrecision(3);
};
const TIME = [[1e-9, "ns"], [1e-6, "\u00b5s"], [1e-3, "ms"], [1, "s"]];
const SI = [[1, ""], [1e3, "k"], [1e6, "M"], [1e9, "G"], [1e12, "T"], [1e15, "P"], [1e18, "E"]];
const JOULE = [[1e-12, "pJ"], [1e-9, "nJ"], [1e-6, "\u00b5J"], [1e-3, "mJ"], [1, "J"], [1e3, "kJ"], [1e6, "MJ"]];
PM.scale = (v, scales) => {
  let found = v ? scales[0] : scales.find((s) => s[0] === 1);
  for (const s of scales) if (Math.abs(v) / s[0] >= 0.9995) found = s;
  return found;
};
const scaled = (v, scales, unit) => {
  if (v === null || v === undefined) return "unknown";
  const [factor, name] = PM.scale(v, scales);
  return `${PM.digits(v / factor)} ${name}${unit}`.trim();
};
PM.time = (s) => scaled(s, TIME, "");
PM.bytes = (b) => scaled(b, SI, "B");
PM.flops = (f) => scaled(f, SI, "FLOP");
PM.rate = (f) => scaled(f, SI, "FLOP/s");
PM.energy = (j) => scaled(j, JOULE, "");
PM.watts = (w) => (w === null || w === undefined ? "unknown" : `${PM.digits(w)} W`);
PM.share = (x) => `${(100 * x).toFixed(1)} %`;
PM.byteScale = (b) => { const [factor, name] = PM.scale(b, SI); return [factor, `${name}B`]; };
PM.count = (n, what) => `${n.toLocaleString("en-GB")} ${what}${n === 1 ? "" : "s"}`;
PM.timeScale = (s) => PM.scale(s, TIME);
PM.energyScale = (j) => PM.scale(j, JOULE);

// ------------------------------------------------------------------------------------------------- elements
// All text goes through textContent: names come from files, and none of them is ever read as markup.
PM.element = (tag, attributes = {}, ...children) => {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(attributes)) {
    if (k === "class") e.className = v;
    else if (k.startsWith("on")) e.addEventListener(k.slice(2), v);
    else if (v !== null && v !== undefined && v !== false) e.setAttribute(k, v === true ? "" : v);
  }
  e.append(...children);
  return e;
};
PM.say = (text) => { document.getElementById("said").textContent = text; };

// --------------------------------------------------------------------------------------------------- theme
PM.BOUNDS = ["compute", "l2", "dram", "vector", "launch", "power", "link"];
PM.colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
PM.boundColour = (bound) => PM.colour(PM.BOUNDS.includes(bound) ? bound : "launch");
PM.redraws = [];

PM.setTheme = (dark) => {
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  document.getElementById("theme").textContent = dark ? "Light" : "Dark";
  document.getElementById("theme").setAttribute("aria-label", dark ? "Use the light theme" : "Use the dark theme");
  for (const redraw of PM.redraws) redraw();
};
{
  const wish = window.matchMedia("(prefers-color-scheme: dark)");
  PM.setTheme(wish.matches);
  wish.addEventListener("change", () => PM.setTheme(wish.matches));
  // Paper is light, whatever the screen is.
  let dark = false;
  window.addEventListener("beforeprint", () => { dark = document.documentElement.dataset.theme === "dark"; if (dark) PM.setTheme(false); });
  window.addEventListener("afterprint", () => { if (dark) PM.setTheme(true); });
  document.getElementById("theme").addEventListener("click", () => {
    PM.setTheme(document.documentElement.dataset.theme !== "dark");
  });
}

// ------------------------------------------------------------------------------------------------------ tip
PM.hideTip = () => { document.getElementById("tip").hidden = true; };
PM.showTip = (title, rows, pageX, pageY) => {
  const tip = document.getElementById("tip");
  const list = PM.element("dl");
  for (const [k, v] of rows) list.append(PM.element("dt", {}, k), PM.element("dd", {}, v));
  tip.replaceChildren(PM.element("strong", {}, title), list);
  tip.hidden = false;
  const room = document.documentElement.clientWidth;
  const left = pageX + 14 + tip.offsetWidth > room ? Math.max(4, pageX - 14 - tip.offsetWidth) : pageX + 14;
  tip.style.left = `${left}px`;
  const below = pageY + 14 + tip.offsetHeight > window.scrollY + window.innerHeight;
  tip.style.top = `${below ? Math.max(4, pageY - 14 - tip.offsetHeight) : pageY + 14}px`;
};

// What hides something can be sent away without moving the pointer.
document.addEventListener("keydown", (event) => { if (event.key === "Escape") PM.hideTip(); });

// --------------------------------------------------------------------------------------------------- charts
PM.config = () => {
  const ink = PM.colour("muted"), font = getComputedStyle(document.body).fontFamily;
  return {
    background: null, padding: 2, font,
    axis: {
      labelColor: ink, titleColor: ink, domainColor: PM.colour("line"), tickColor: PM.colour("line"), gridColor: PM.colour("soft"),
      labelFontSize: 11.5, titleFontSize: 12, titleFontWeight: 500, titlePadding: 9, labelPadding: 5, tickSize: 4, labelOverlap: true,
    },
    text: { font, fontSize: 11.5, fill: PM.colour("ink") },
  };
};

// Mounts one chart. `build(width)` gives { spec, items, label }: a Vega specification, what can be pointed at in the order in
// which keys pass it (each with x(view) and y(view) [pixel of the plot], title, rows(), and perhaps enter()), and a sentence for those who do
// not see it. Drawn when it comes near the screen, and again for another width, theme or device.
PM.chart = (container, build) => {
  let view = null, drawn = null, at = -1, near = false, last = null, turns = 0;
  container.tabIndex = 0;
  container.setAttribute("role", "application");
  container.setAttribute("aria-roledescription", "chart");

  // What the keys show stays while the page scrolls under a pointer that nobody moved.
  const left = () => { if (!PM.tipOfKeys) PM.hideTip(); };
  const tip = (handler, event, item, value) => {
    if (!value || !(value.i in drawn.items)) { left(); return; }
    const it = drawn.items[value.i];
    PM.tipOfKeys = false;
    PM.showTip(it.title, it.rows(), event.pageX, event.pageY);
  };
  const draw = async () => {
    if (!near) { container.ariaBusy = "false"; return; }
    const turn = ++turns;
    container.ariaBusy = "true";
    const made = build(Math.max(220, container.clientWidth - 4));
    container.style.minHeight = made.empty ? "0" : "";
    if (made.empty) {
      if (last) last.finalize();
      [last, view, drawn] = [null, null, made];
      container.setAttribute("aria-label", made.empty);
      container.replaceChildren(PM.element("p", { class: "chart-note" }, made.empty));
      container.ariaBusy = "false";
      return;
    }
    const spec = { $schema: "https://vega.github.io/schema/vega/v6.json", autosize: { type: "fit", contains: "padding" }, ...made.spec, config: PM.config() };
    const place = PM.element("div");
    const embedded = await vegaEmbed(place, spec, { mode: "vega", actions: false, renderer: "canvas", ast: true, hover: false, tooltip: tip, defaultStyle: false });
    if (turn !== turns) { embedded.finalize(); return; }
    if (last) last.finalize();
    // Who moves through the chart while it is drawn again (another width, another theme) stays where they are.
    const here = drawn && drawn.items[at] && drawn.items[at].title;
    [last, view, drawn, at] = [embedded, embedded.view, made, made.items.findIndex((i) => i.title === here)];
    container.replaceChildren(place);
    container.setAttribute("aria-label", `${drawn.label} Arrow keys move through it.`);
    container.dataset.hand = String(drawn.items.some((i) => i.enter));
    view.addEventListener("click", (event, item) => {
      const it = item && item.datum && drawn.items[item.datum.i];
      if (it && it.enter) { PM.hideTip(); it.enter(); }
    });
    container.chartView = view; // for tests, which look where marks came to lie
    container.dataset.drawn = String(Number(container.dataset.drawn || 0) + 1);
    container.ariaBusy = "false";
  };

  const go = (index) => {
    at = Math.max(0, Math.min(drawn.items.length - 1, index));
    const it = drawn.items[at];
    const rows = it.rows();
    PM.say(`${it.title}: ${rows.map((r) => r.join(" ")).join(", ")}`);
    PM.tipOfKeys = true;
    const box = container.getBoundingClientRect(), [ox, oy] = view.origin();
    PM.showTip(it.title, rows, box.left + window.scrollX + ox + it.x(view), box.top + window.scrollY + oy + it.y(view));
    if (view.signal("focus") !== undefined) view.signal("focus", it.i ?? at).run();
  };
  container.addEventListener("keydown", (event) => {
    if (!drawn || !drawn.items.length) return;
    const it = drawn.items[at];
    const moves = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: drawn.items.length - 1, ArrowDown: at + 1, ArrowUp: at - 1 };
    if (it && it.moves && event.key in it.moves) { if (it.moves[event.key] !== null) go(it.moves[event.key]); }
    else if (event.key in moves) go(moves[event.key]);
    else if (event.key === "Enter" && it && it.enter) { PM.hideTip(); it.enter(); }
    else if (event.key === "Escape") { PM.hideTip(); if (drawn.leave) drawn.leave(); }
    else return;
    event.preventDefault();
  });
  const away = () => { PM.hideTip(); if (view) view.signal("focus", -1).run(); };
  container.addEventListener("blur", away);
  container.addEventListener("mouseleave", left);

  new IntersectionObserver((entries, observer) => {
    if (!entries.some((e) => e.isIntersecting)) return;
    observer.disconnect();
    near = true;
    draw();
  }, { rootMargin: "400px" }).observe(container);
  let wide = container.clientWidth, timer = 0;
  new ResizeObserver(() => {
    if (Math.abs(container.clientWidth - wide) < 2) return;
    wide = container.clientWidth;
    clearTimeout(timer);
    container.ariaBusy = "true";
    timer = setTimeout(draw, 120);
  }).observe(container);
  window.addEventListener("beforeprint", () => { near = true; draw(); });
  PM.redraws.push(draw);
  return draw;
};
// Text over lines and areas stays legible: the same mark twice, below in the colour of the ground.
PM.haloed = (mark) => [
  { ...mark, encode: { ...mark.encode, enter: { ...mark.encode.enter, stroke: { value: PM.colour("surface") }, strokeWidth: { value: 4 }, strokeJoin: { value: "round" }, strokeOpacity: { value: 0.85 } } } },
  mark,
];
PM.focusSignal = { name: "focus", value: -1 };
PM.decades = (low, high) => {
  const all = [];
  for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e++) all.push(Number(`1e${e}`));
  const step = Math.ceil(all.length / 9);
  return all.filter((v, i) => v >= low && v <= high && i % step === 0);
};
// Names differ at their ends: what is too long loses its middle.
// Cut between characters, not between the halves of one.
PM.middle = (text, most) => {
  const letters = text.length > most ? [...text] : [];
  return letters.length > most ? `${letters.slice(0, Math.floor(most / 2)).join("")}\u2026${letters.slice(1 - Math.ceil(most / 2)).join("")}` : text;
};
PM.spread = (text, most) => (text.length > most ? `${[...text].slice(0, most - 1).join("")}\u2026` : text);
