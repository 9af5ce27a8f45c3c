// Efficiency gap and waterline, memory over time, power over time.
"use strict";

// Neighbours in the order given are joined until each is wide enough to be seen; sums stay what they are.
PM.joined = (parts, width, most) => {
  const total = parts.reduce((s, p) => s + width(p), 0), result = [];
  let open = null;
  for (const p of parts) {
    if (open && open.bound === p.bound && (width(open) < total / most)) {
      open = { ...open, ideal: open.ideal + p.ideal, t: open.t + p.t, flops: open.flops + p.flops, bytes: open.bytes + p.bytes, count: open.count + p.count, k: open.t >= p.t ? open.k : p.k };
      result[result.length - 1] = open;
    } else { open = { ...p }; result.push(open); }
  }
  return result;
};
PM.kindParts = (device) => {
  PM.operatorsOf(device);
  const counts = new Map();
  for (const kind of device.kind) counts.set(kind, (counts.get(kind) || 0) + 1);
  return [...counts].map(([kind, count]) => {
    const k = device.kinds[kind];
    return { k, count, bound: k.bound, t: k.t[0] * count, flops: k.flops * count, bytes: k.bytes * count, ideal: (k.flops * count) / k.peak };
  }).filter((p) => p.t > 0 && PM.isShown(p.k));
};
const NOTHING = "No operator that is shown takes time.";
const partTitle = (p) => (p.count > 1 ? `${p.k.op} ${p.k.dtype} ${p.k.shape} and alike: ${PM.count(p.count, "operator")}` : `${p.k.op} ${p.k.dtype} ${p.k.shape}`);

// Lavin, "On the Efficiency of Convolutional Neural Networks" (2024): latency = arithmetic complexity / (peak x efficiency), so
// that a rectangle as wide as the arithmetic and as high as 1 / efficiency has the latency for its area.
PM.gap = (width) => {
  const device = PM.device(), run = device.latency_s || 1;
  const parts = PM.kindParts(device).sort((a, b) => a.t / Math.max(a.ideal, 1e-30) - b.t / Math.max(b.ideal, 1e-30));
  // As high as what does 98 % of the arithmetic; the rest would be needles.
  const arithmetic = parts.reduce((s, p) => s + p.ideal, 0);
  let cap = 1.5, done = 0;
  for (const p of parts) { if (p.ideal > 0 && done < 0.98 * arithmetic) cap = Math.max(cap, (p.t / p.ideal) * 1.05); done += p.ideal; }
  const tall = parts.filter((p) => !(p.ideal > 0) || p.t / p.ideal > cap), low = PM.joined(parts.filter((p) => p.ideal > 0 && p.t / p.ideal <= cap), (p) => p.ideal, 220);
  if (!parts.length) {
    document.getElementById("gap-note").textContent = "";
    return { label: "", empty: NOTHING, items: [] };
  }
  let x = 0;
  const rects = low.map((p) => { const r = { p, x, x2: x + p.ideal, y: p.t / p.ideal, ideal: true }; x += p.ideal; return r; });
  const rest = tall.reduce((s, p) => ({ t: s.t + p.t, count: s.count + p.count, ideal: s.ideal + p.ideal }), { t: 0, count: 0, ideal: 0 });
  if (rest.t > 0) rects.push({ p: null, x, x2: x + rest.t / cap, y: cap, ideal: false });
  const [factor, unit] = PM.timeScale(rects.length ? rects[rects.length - 1].x2 : 1);
  const ideal = arithmetic;
  document.getElementById("gap-note").textContent = `At its peak the arithmetic would take ${PM.time(ideal)} of the ${PM.time(run)}: a computational efficiency of ${PM.share(ideal / run)} over all operators.`
    + (rest.t > 0 ? ` The grey block is ${PM.count(rest.count, "operator")} with little or no arithmetic, ${PM.share(rest.t / run)} of the time, drawn as high as there is room; its area is their time, too.` : "");
  const items = rects.map((r, i) => ({
    i, title: r.p ? partTitle(r.p) : `${PM.count(rest.count, "operator")} with little or no arithmetic`,
    rows: () => (r.p ? [["time", `${PM.time(r.p.t)}, ${PM.share(r.p.t / run)}`], ["arithmetic", `${PM.flops(r.p.flops)}, ${PM.time(r.p.ideal)} at peak`], ["efficiency", PM.share(r.p.ideal / r.p.t)], ["bound", r.p.bound]]
      : [["time", `${PM.time(rest.t)}, ${PM.share(rest.t / run)}`], ["at peak", PM.time(rest.ideal)]]),
    x: (v) => v.scale("x")((r.x + r.x2) / 2 / factor), y: (v) => v.scale("y")(r.y),
  }));
  return {
    label: `Efficiency gap: ${PM.share(ideal / run)} computational efficiency; areas are latency.`, items,
    spec: {
      width, height: 280, signals: [PM.focusSignal],
      data: [{ name: "r", values: rects.map((r, i) => ({ i, x: r.x / factor, x2: r.x2 / factor, y: r.y, c: r.p ? PM.boundColour(r.p.bound) : PM.colour("faint"), o: r.p ? 0.5 : 0.3, ideal: r.ideal })) }],
      scales: [
        { name: "x", domain: [0, Math.max(1e-12, ...rects.map((r) => r.x2 / factor))], range: "width", nice: false },
        { name: "y", domain: [0, Math.max(1.3, ...rects.map((r) => r.y)) * 1.04], range: "height" },
      ],
      axes: [
        { scale: "x", orient: "bottom", title: `arithmetic, as time at peak [${unit}]`, tickCount: 6 },
        { scale: "y", orient: "left", grid: true, title: "1 / computational efficiency", tickCount: 6 },
      ],
      marks: [
        { type: "rect", from: { data: "r" }, encode: { enter: {
          x: { scale: "x", field: "x" }, x2: { scale: "x", field: "x2" }, y: { scale: "y", field: "y" }, y2: { scale: "y", value: 0 },
          fill: { field: "c" }, fillOpacity: { field: "o" }, tooltip: { signal: "datum" },
        }, update: { stroke: { signal: `focus === datum.i ? '${PM.colour("ink")}' : '${PM.colour("surface")}'` }, strokeWidth: { signal: "focus === datum.i ? 2 : 0.4" } } } },
        { type: "rect", interactive: false, from: { data: "r" }, encode: { enter: {
          x: { scale: "x", field: "x" }, x2: { scale: "x", field: "x2" }, y: { scale: "y", signal: "datum.ideal ? 1 : 0" }, y2: { scale: "y", value: 0 },
          fill: { field: "c" }, fillOpacity: { value: 0.75 },
        } } },
        { type: "rule", encode: { enter: { x: { value: 0 }, x2: { signal: "width" }, y: { scale: "y", value: 1 }, stroke: { value: PM.colour("ink") }, strokeDash: { value: [4, 3] } } } },
        ...PM.haloed({ type: "text", interactive: false, encode: { enter: { x: { value: 6 }, y: { scale: "y", value: 1, offset: -6 }, text: { value: "peak" }, fill: { value: PM.colour("ink") } } } }),
      ],
    },
  };
};

PM.waterline = (width) => {
  const device = PM.device(), run = device.latency_s || 1, dram = device.ceilings.find((c) => c.kind === "dram").value;
  const parts = PM.joined(PM.kindParts(device).sort((a, b) => b.flops / b.bytes - a.flops / a.bytes), (p) => p.t, 260);
  const main = [...PM.kindParts(device)].sort((a, b) => b.ideal - a.ideal)[0];
  const balance = main ? main.k.peak / dram : 1;
  if (!parts.length) {
    document.getElementById("waterline-note").textContent = "";
    return { label: "", empty: NOTHING, items: [] };
  }
  const level = (p) => p.flops / Math.max(p.bytes, 1);
  const floor = 0.1, top = Math.max(balance * 4, ...parts.map(level)) * 1.3;
  let x = 0;
  const rects = parts.map((p) => { const r = { p, x, x2: x + p.t }; x += p.t; return r; });
  const [factor, unit] = PM.timeScale(x || 1);
  const under = rects.filter((r) => level(r.p) < balance).reduce((s, r) => s + r.p.t, 0);
  document.getElementById("waterline-note").textContent = `${PM.share(under / (x || 1))} of the time is under water: operators of fewer than ${PM.digits(balance)} FLOPs a byte, which memory alone would keep below the peak of ${main ? main.k.dtype : "fp32"}.`;
  return {
    label: `Waterline: ${PM.share(under / (x || 1))} of the time is in operators below ${PM.digits(balance)} FLOPs a byte.`,
    items: rects.map((r, i) => ({
      i, title: partTitle(r.p), rows: () => [["FLOP/byte", PM.digits(level(r.p))], ["time", `${PM.time(r.p.t)}, ${PM.share(r.p.t / run)}`], ["efficiency", PM.share(r.p.ideal / r.p.t)], ["at most", PM.share(Math.min(1, level(r.p) / balance))], ["bound", r.p.bound]],
      x: (v) => v.scale("x")((r.x + r.x2) / 2 / factor), y: (v) => v.scale("y")(Math.max(level(r.p), floor * 1.2)),
    })),
    spec: {
      width, height: 280, signals: [PM.focusSignal],
      data: [{ name: "r", values: rects.map((r, i) => ({ i, x: r.x / factor, x2: r.x2 / factor, y: Math.max(level(r.p), floor * 1.15), c: PM.boundColour(r.p.bound) })) }],
      scales: [
        { name: "x", domain: [0, Math.max(1e-12, x / factor)], range: "width", nice: false },
        { name: "y", type: "log", domain: [floor, top], range: "height" },
      ],
      axes: [
        { scale: "x", orient: "bottom", title: `latency, most intense operators first [${unit}]`, tickCount: 6 },
        { scale: "y", orient: "left", grid: true, values: PM.decades(floor, top), format: "~g", title: "FLOPs for each byte" },
      ],
      marks: [
        { type: "rect", from: { data: "r" }, encode: { enter: {
          x: { scale: "x", field: "x" }, x2: { scale: "x", field: "x2" }, y: { scale: "y", field: "y" }, y2: { signal: "height" },
          fill: { field: "c" }, fillOpacity: { value: 0.6 }, tooltip: { signal: "datum" },
        }, update: { stroke: { signal: `focus === datum.i ? '${PM.colour("ink")}' : '${PM.colour("surface")}'` }, strokeWidth: { signal: "focus === datum.i ? 2 : 0.4" } } } },
        { type: "rect", interactive: false, encode: { enter: { x: { value: 0 }, x2: { signal: "width" }, y: { scale: "y", value: balance }, y2: { signal: "height" }, fill: { value: PM.colour("water") }, fillOpacity: { value: 0.13 } } } },
        { type: "rule", interactive: false, encode: { enter: { x: { value: 0 }, x2: { signal: "width" }, y: { scale: "y", value: balance }, stroke: { value: PM.colour("water") }, strokeWidth: { value: 1.5 } } } },
        ...PM.haloed({ type: "text", interactive: false, encode: { enter: { x: { signal: "width", offset: -6 }, y: { scale: "y", value: balance, offset: -6 }, align: { value: "right" }, text: { value: `peak / bandwidth: ${PM.digits(balance)}` }, fill: { value: PM.colour("water") } } } }),
      ],
    },
  };
};

const step = (colour, opacity, y, y2) => ({ type: "area", interactive: false, from: { data: "corners" }, encode: { enter: {
  x: { scale: "x", field: "x" }, y, y2, fill: { value: PM.colour(colour) }, fillOpacity: { value: opacity }, interpolate: { value: "step-after" },
} } });
// A step curve over the run: `rows` of { x, x2, y } in plot units, with lines across it.
PM.steps = ({ width, rows, low, high, xTitle, yTitle, yFormat, lines, base, items, label, band }) => ({
  label, items,
  spec: {
    width, height: 240, signals: [PM.focusSignal],
    data: [{ name: "r", values: rows.map((r, i) => ({ i, ...r })) }, { name: "lines", values: lines }, { name: "corners", values: rows.length ? [...rows, { ...rows[rows.length - 1], x: rows[rows.length - 1].x2 }] : [] }],
    scales: [
      { name: "x", domain: [0, Math.max(1e-12, rows.length ? rows[rows.length - 1].x2 : 1)], range: "width", nice: false },
      { name: "y", domain: [low, high], range: "height" },
    ],
    axes: [
      { scale: "x", orient: "bottom", title: xTitle, tickCount: 6 },
      { scale: "y", orient: "left", grid: true, title: yTitle, format: yFormat, tickCount: 5 },
    ],
    marks: [
      ...(band ? [step("power", 0.3, { scale: "y", field: "y2" }, { scale: "y", field: "y" })] : []),
      step("accent", 0.45, { scale: "y", field: "y" }, { signal: "height" }),
      // What the pointer and the keys find.
      { type: "rect", from: { data: "r" }, encode: { enter: {
        x: { scale: "x", field: "x" }, x2: { scale: "x", field: "x2", offset: 0.4 }, y: { value: 0 }, y2: { signal: "height" },
        fill: { value: PM.colour("ink") }, tooltip: { signal: "datum" },
      }, update: { fillOpacity: { signal: "focus === datum.i ? 0.3 : 0" } } } },
      ...(base ? [{ type: "rect", interactive: false, encode: { enter: { x: { value: 0 }, x2: { signal: "width" }, y: { scale: "y", value: base }, y2: { signal: "height" }, fill: { value: PM.colour("launch") }, fillOpacity: { value: 0.42 } } } }] : []),
      { type: "rule", interactive: false, from: { data: "lines" }, encode: { enter: { x: { value: 0 }, x2: { signal: "width" }, y: { scale: "y", field: "y" }, stroke: { value: PM.colour("muted") }, strokeDash: { field: "dash" } } } },
      ...PM.haloed({ type: "text", interactive: false, from: { data: "lines" }, encode: { enter: { x: { signal: "datum.left ? 6 : width - 4" }, align: { signal: "datum.left ? 'left' : 'right'" }, y: { scale: "y", field: "y", offset: { signal: "datum.below ? 13 : -4" } }, text: { field: "text" }, fill: { value: PM.colour("ink") } } } }),
    ],
  },
});

PM.memoryChart = (width) => {
  const m = PM.device().memory;
  if (!m || !m.points.length) return { label: "", empty: m ? "No operator takes memory." : "No memory plan was made.", items: [] };
  const last = m.points.length ? m.points[m.points.length - 1][1] : 1, [factor, unit] = m.axis === "time" ? PM.timeScale(last || 1) : [1, ""];
  // Where weights are nearly all of it, what moves is shown alone.
  const under = m.weights > 0.8 * m.peak ? m.weights : 0, above = (b) => Math.max(0, b - under);
  const [bytes, bytesUnit] = PM.byteScale(Math.max(1, above(m.peak)));
  const rows = m.points.map((p) => ({ x: p[0] / factor, x2: p[1] / factor, y: above(p[2]) / bytes }));
  const lines = [{ y: above(m.peak) / bytes, text: `peak ${PM.bytes(m.peak)}`, dash: [4, 3] }];
  if (!under && m.weights > m.peak / 25) lines.push({ y: m.weights / bytes, text: `weights ${PM.bytes(m.weights)}`, dash: [], left: true });
  if (m.device_bytes < m.peak * 1.6 && !under) lines.push({ y: m.device_bytes / bytes, text: `the device's ${PM.bytes(m.device_bytes)}`, dash: [2, 2], left: true });
  return PM.steps({
    width, rows, low: 0, high: Math.max(1 / bytes, ...lines.map((l) => l.y)) * 1.14, base: under ? 0 : m.weights / bytes, lines, yFormat: ",f",
    yTitle: under ? `beyond ${PM.bytes(under)} of weights [${bytesUnit}]` : `in use [${bytesUnit}]`,
    xTitle: m.axis === "time" ? `time [${unit}]` : "operator, in the order of the run", label: `Memory over the run: peak ${PM.bytes(m.peak)} at ${m.peak_node || "the start"}.`,
    items: m.points.map((p, i) => ({ i, title: p[3], rows: () => [["in use", PM.bytes(p[2])], ["of it weights", PM.bytes(m.weights)]], x: (v) => v.scale("x")((p[0] + p[1]) / 2 / factor), y: (v) => v.scale("y")(above(p[2]) / bytes) })),
  });
};

PM.powerChart = (width) => PM.powerOver(PM.device().power, width);
PM.powerOver = (p, width) => {
  if (!p) return { label: "", empty: "The power is unknown.", items: [] };
  const [factor, unit] = PM.timeScale(p.duration_s), each = p.duration_s / p.slices.length / factor;
  const lines = [{ y: p.average_w, text: `average ${PM.watts(p.average_w)}`, dash: [], left: true }];
  if (p.limit_w) lines.push({ y: p.limit_w, text: `limit ${PM.watts(p.limit_w)}`, dash: [4, 3] });
  if (p.idle_w) lines.push({ y: p.idle_w, text: `idle at its clock ${PM.watts(p.idle_w)}`, dash: [2, 2], below: true });
  return PM.steps({
    width, rows: p.slices.map((s, i) => ({ x: i * each, x2: (i + 1) * each, y: s[0], y2: s[1] })), low: 0, band: true, lines,
    high: Math.max(p.limit_w || 0, ...p.slices.map((s) => s[1])) * 1.12, yTitle: "power [W]", yFormat: ",.0f", xTitle: `time [${unit}]`,
    label: `Power over the run: average ${PM.watts(p.average_w)}, ${PM.watts(p.p99_w)} not exceeded for 99 % of the time.`,
    items: p.slices.map((s, i) => ({ i, title: s[2], rows: () => [["mean", PM.watts(s[0])], ["highest operator", PM.watts(s[1])], ["from", PM.time((i * p.duration_s) / p.slices.length)]], x: (v) => v.scale("x")((i + 0.5) * each), y: (v) => v.scale("y")(s[0]) })),
  });
};
