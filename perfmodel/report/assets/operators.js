// The operators of the device that is shown, as columns that charts and the table read.
"use strict";
PM.shown = 0;
PM.hiddenBounds = new Set();

// One record an operator: its kind's figures, its name, its place in the model.
PM.operatorsOf = (device) => {
  if (device.operators) return device.operators;
  for (const k of device.kinds) {
    k.intensity = k.flops / Math.max(k.bytes, 1);
    k.rate = k.t[0] > 0 ? k.flops / k.t[0] : 0;
    k.efficiency = k.rate / k.peak;
    k.share = device.latency_s > 0 ? k.t[0] / device.latency_s : 0;
  }
  device.operators = device.kind.map((kind, i) => ({ i, name: device.names[i], k: device.kinds[kind], kind }));
  return device.operators;
};
// What the charts show: the device's run, or the chosen one of a request's runs.
PM.run = 0;
PM.device = () => { const d = PM.data.devices[PM.shown]; return d.runs ? d.runs[PM.run] : d; };
PM.isShown = (k) => !PM.hiddenBounds.has(k.bound);

PM.kindRows = (k) => [
  ["operator", `${k.op} ${k.dtype} ${k.shape}${k.n > 1 ? `, ${k.n} runs` : ""}`],
  ["time", `${PM.time(k.t[0])} (${PM.time(k.t[1])} to ${PM.time(k.t[2])}), ${PM.share(k.share)}`],
  ["work", `${PM.flops(k.flops)}, ${PM.bytes(k.bytes)}`],
  ["rate", `${PM.rate(k.rate)}, ${PM.share(k.efficiency)} of peak`],
  ["bound", k.bound], ["rests on", k.source],
];

// ------------------------------------------------------------------------------------------------- roofline
PM.roofline = (width) => {
  const device = PM.device();
  const all = PM.operatorsOf(device).filter((o) => o.k.flops > 0 && o.k.t[0] > 0 && PM.isShown(o.k));
  const order = [...all].sort((a, b) => b.k.t[0] - a.k.t[0]);
  const dots = order.map((o, i) => ({ i, x: o.k.intensity, y: o.k.rate, t: o.k.t[0], c: PM.boundColour(o.k.bound) }));
  const compute = device.ceilings.filter((c) => c.kind === "compute"), memory = device.ceilings.filter((c) => c.kind !== "compute");
  const top = Math.max(...compute.map((c) => c.value)), dram = memory.find((c) => c.kind === "dram").value;
  const x0 = Math.min(...dots.map((d) => d.x), top / dram / 30, top / Math.max(...memory.map((m) => m.value)) / 12) / 1.6, x1 = Math.max(...dots.map((d) => d.x), (top / dram) * 8) * 1.6;
  const y0 = Math.min(...dots.map((d) => d.y), (dram * top) / dram / 3000) / 1.6, y1 = Math.max(top, ...dots.map((d) => d.y)) * Math.max(1.9, (top / y0) ** 0.06);
  const lines = [
    ...memory.map((c) => ({ c: c.kind, x: x0, y: c.value * x0, x2: top / c.value, y2: top, label: width < 560 ? c.label.replace("last-level ", "") : `${c.label} ${PM.bytes(c.value)}/s`, dash: c.kind === "l2" })),
    ...compute.map((c) => ({ c: "compute", x: c.value / Math.max(...memory.map((m) => m.value)), y: c.value, x2: x1, y2: c.value, label: `${c.label} ${PM.rate(c.value)}` })),
  ];
  const idle = PM.operatorsOf(device).filter((o) => !(o.k.flops > 0) && PM.isShown(o.k));
  const without = idle.reduce((s, o) => s + o.k.t[0], 0) / (device.latency_s || 1);
  const above = all.filter((o) => o.k.efficiency > 1.005);
  document.getElementById("roofline-note").textContent = [
    above.length ? `${PM.count(above.length, "operator")} above the line of the arithmetic used: an algorithm that multiplies less often than the sizes say, as Winograd's for convolutions.` : "",
    idle.length ? `${PM.count(idle.length, "operator")} without arithmetic (copies, gathers, what no rule covers), ${PM.share(without)} of the time, cannot be shown here.` : "",
  ].filter(Boolean).join(" ");
  const height = width < 560 ? 340 : 440;
  return {
    label: `Roofline of ${device.name}: ${PM.count(dots.length, "operator")} by FLOPs for each byte and FLOP/s. ${lines.map((l) => l.label).join("; ")}.`,
    items: order.map((o, i) => ({
      i, title: o.name, rows: () => [...PM.kindRows(o.k), ["FLOP/byte", PM.digits(o.k.intensity)]],
      x: (v) => v.scale("x")(o.k.intensity), y: (v) => v.scale("y")(o.k.rate), enter: () => PM.find(o),
    })),
    spec: {
      width, height, signals: [PM.focusSignal],
      data: [{ name: "dots", values: dots }, { name: "lines", values: lines }],
      scales: [
        { name: "x", type: "log", domain: [x0, x1], range: "width" },
        { name: "y", type: "log", domain: [y0, y1], range: "height" },
        { name: "size", type: "linear", domain: [0, Math.max(1e-30, ...dots.map((d) => d.t))], range: [14, width < 560 ? 420 : 760] },
      ],
      axes: [
        { scale: "x", orient: "bottom", grid: true, values: PM.decades(x0, x1), format: "~g", title: "FLOPs for each byte read or written" },
        { scale: "y", orient: "left", grid: true, values: PM.decades(y0, y1), format: "~s", title: "FLOP/s" },
      ],
      marks: [{
        type: "group", clip: true, encode: { enter: { width: { signal: "width" }, height: { signal: "height" } } }, marks: [
          { type: "rule", from: { data: "lines" }, encode: { enter: {
            x: { scale: "x", field: "x" }, y: { scale: "y", field: "y" }, x2: { scale: "x", field: "x2" }, y2: { scale: "y", field: "y2" },
            stroke: { value: PM.colour("faint") }, strokeWidth: { value: 1.3 }, strokeDash: { signal: "datum.dash ? [5, 4] : []" },
          } } },
          { type: "symbol", from: { data: "dots" }, encode: { enter: {
            x: { scale: "x", field: "x" }, y: { scale: "y", field: "y" }, size: { scale: "size", field: "t" },
            fill: { field: "c" }, fillOpacity: { value: 0.55 }, tooltip: { signal: "datum" },
          }, update: {
            stroke: { signal: `focus === datum.i ? '${PM.colour("ink")}' : datum.c` }, strokeWidth: { signal: "focus === datum.i ? 3 : 0.8" },
          } } },
          ...PM.haloed({ type: "text", interactive: false, from: { data: "lines" }, encode: { enter: {
            x: { signal: "datum.c === 'compute' ? width - 6 : max(scale('x', datum.x), scale('x', invert('y', height) / (datum.y / datum.x))) + 16" },
            y: { signal: "datum.c === 'compute' ? scale('y', datum.y) - 5 : scale('y', invert('x', max(scale('x', datum.x), scale('x', invert('y', height) / (datum.y / datum.x))) + 16) * datum.y / datum.x) + (datum.c === 'dram' ? 14 : -6)" },
            align: { signal: "datum.c === 'compute' ? 'right' : 'left'" }, text: { field: "label" }, fill: { value: PM.colour("muted") },
            angle: { signal: `datum.c === 'compute' ? 0 : -atan2(height / log(${y1 / y0}), width / log(${x1 / x0})) * 180 / PI` },
          } } }),
        ],
      }],
    },
  };
};

// ------------------------------------------------------------------------------- where the time goes (icicle)
PM.treeState = { by: "module", root: 0 };
PM.treeOf = (device, by) => {
  device.trees ??= {};
  if (device.trees[by]) return device.trees[by];
  const ops = PM.operatorsOf(device);
  let labels, parents, leaves;
  if (by === "module") {
    ({ labels, parents, leaves } = device.modules);
  } else {
    labels = [PM.data.model]; parents = [-1]; leaves = [];
    const known = new Map();
    const node = (key, label, parent) => {
      if (!known.has(key)) { known.set(key, labels.length); labels.push(label); parents.push(parent); }
      return known.get(key);
    };
    for (const o of ops) {
      const family = node(o.k.op, o.k.op, 0), kind = node(`${o.k.op} ${o.k.dtype} ${o.k.shape}`, `${o.k.dtype} ${o.k.shape}`, family);
      leaves.push(labels.length); labels.push(o.name); parents.push(kind);
    }
  }
  const n = labels.length, seconds = new Float64Array(n), bounds = Array.from({ length: n }, () => null), children = Array.from({ length: n }, () => []);
  const count = new Int32Array(n), operator = new Int32Array(n).fill(-1);
  for (let node = 1; node < n; node++) children[parents[node]].push(node);
  leaves.forEach((leaf, i) => { seconds[leaf] += ops[i].k.t[0]; operator[leaf] = i; count[leaf] = 1; bounds[leaf] = { [ops[i].k.bound]: ops[i].k.t[0] }; });
  for (let node = n - 1; node > 0; node--) {
    const p = parents[node];
    seconds[p] += seconds[node]; count[p] += count[node]; bounds[p] ??= {};
    for (const [b, s] of Object.entries(bounds[node] || {})) bounds[p][b] = (bounds[p][b] || 0) + s;
  }
  if (by === "family") for (const list of children) list.sort((a, b) => seconds[b] - seconds[a]);
  device.trees[by] = { labels, parents, children, seconds, count, operator, bounds };
  return device.trees[by];
};

PM.icicle = (width) => {
  const device = PM.device(), tree = PM.treeOf(device, PM.treeState.by), root = PM.treeState.root, total = tree.seconds[root] || 1;
  const ROW = 30, DEPTH = 7, rects = [];
  let deepest = 0;
  const lay = (node, from, depth, up) => {
    const part = tree.seconds[node] / total;
    const at = rects.length;
    rects.push({ node, x: from, x2: from + part, depth, up, kids: [] });
    deepest = Math.max(deepest, depth);
    if (depth + 1 >= DEPTH) return at;
    // Neighbours that are too narrow to be seen stand together.
    let x = from, few = [], sum = 0;
    const together = () => {
      if (sum * width >= 0.8) {
        deepest = Math.max(deepest, depth + 1);
        rects[at].kids.push(rects.length);
        rects.push({ node: few.length === 1 ? few[0] : -1, many: few, x, x2: x + sum, depth: depth + 1, up: at, kids: [] });
      }
      x += sum;
      [few, sum] = [[], 0];
    };
    for (const child of tree.children[node]) {
      const wide = tree.seconds[child] / total;
      if (wide * width < 5) { few.push(child); sum += wide; if (sum * width >= 16) together(); continue; }
      together();
      rects[at].kids.push(lay(child, x, depth + 1, at));
      x += wide;
    }
    together();
    return at;
  };
  if (!tree.seconds[root]) return { label: "", empty: "No operator takes time.", items: [] };
  lay(root, 0, 0, -1);
  const named = (node) => (node === 0 ? PM.data.model : tree.labels[node]);
  const go = (node) => { PM.treeState.root = node; PM.crumbs(); PM.drawTree(); PM.say(`${named(node)}, ${PM.time(tree.seconds[node])}`); };
  for (const r of rects) {
    const nodes = r.node >= 0 ? [r.node] : r.many;
    r.seconds = nodes.reduce((s, n) => s + tree.seconds[n], 0);
    r.count = nodes.reduce((s, n) => s + tree.count[n], 0);
    r.bounds = {};
    for (const n of nodes) for (const [b, s] of Object.entries(tree.bounds[n] || {})) r.bounds[b] = (r.bounds[b] || 0) + s;
    r.parts = Object.entries(r.bounds).sort((a, b) => b[1] - a[1]);
    r.name = r.node >= 0 ? named(r.node) : `${named(r.many[0])} to ${named(r.many[r.many.length - 1])}`;
  }
  const values = rects.map((r, i) => {
    // What is hidden elsewhere is pale here, so that the widths stay those of the time.
    const seen = r.parts.filter(([bound]) => !PM.hiddenBounds.has(bound)), hidden = r.parts.length > 0 && !seen.length;
    const parts = seen.length ? seen : r.parts.length ? r.parts : [["launch", 1]];
    const strong = r.seconds ? parts[0][1] / r.seconds : 1, room = Math.floor(((r.x2 - r.x) * width - 10) / 6.6);
    const text = `${r.name}  ${PM.share(r.seconds / (device.latency_s || 1))}`;
    return { i, x: r.x, x2: r.x2, y: r.depth * ROW, c: PM.boundColour(parts[0][0]), o: hidden ? 0.04 : r.depth === 0 ? 0.1 : 0.14 + 0.3 * strong, tc: PM.colour(hidden ? "faint" : "ink"), t: room < 4 || r.node < 0 ? "" : PM.spread(room >= text.length ? text : r.name, room) };
  });
  const items = rects.map((r, i) => {
    const leaf = r.node < 0 ? -1 : tree.operator[r.node], up = rects[r.up], place = up ? up.kids.indexOf(i) : -1;
    return {
      i, title: r.name,
      rows: () => (leaf >= 0 ? PM.kindRows(PM.operatorsOf(device)[leaf].k) : [
        ["time", `${PM.time(r.seconds)}, ${PM.share(r.seconds / (device.latency_s || 1))} of the run`], ["operators", r.count.toLocaleString("en-GB")],
        ["bounds", r.parts.map(([b, s]) => `${b} ${PM.share(s / r.seconds)}`).join(", ")],
      ]),
      x: (v) => v.scale("x")((r.x + r.x2) / 2), y: () => r.depth * ROW + ROW / 2,
      enter: r.node < 0 ? null : leaf >= 0 ? () => PM.find(PM.operatorsOf(device)[leaf]) : r.node === root ? (root ? () => go(tree.parents[root]) : null) : () => go(r.node),
      moves: {
        ArrowDown: r.kids.length ? r.kids[0] : null, ArrowUp: r.up >= 0 ? r.up : null,
        ArrowLeft: place > 0 ? up.kids[place - 1] : null, ArrowRight: up && place + 1 < up.kids.length ? up.kids[place + 1] : null,
      },
    };
  });
  return {
    label: `Where the time goes, by ${PM.treeState.by === "module" ? "module path" : "operator family"}: ${named(root)}, ${PM.time(total)}.`,
    items, leave: () => { if (root) go(tree.parents[root]); },
    spec: {
      width, height: (deepest + 1) * ROW + 2, signals: [PM.focusSignal], data: [{ name: "r", values }],
      scales: [{ name: "x", domain: [0, 1], range: "width" }],
      marks: [
        { type: "rect", from: { data: "r" }, encode: { enter: {
          x: { scale: "x", field: "x" }, x2: { scale: "x", field: "x2", offset: -1 }, y: { field: "y" }, height: { value: ROW - 2 },
          fill: { field: "c" }, fillOpacity: { field: "o" }, cornerRadius: { value: 3 }, tooltip: { signal: "datum" },
        }, update: { stroke: { signal: `focus === datum.i ? '${PM.colour("ink")}' : null` }, strokeWidth: { value: 2 } } } },
        { type: "text", interactive: false, from: { data: "r" }, encode: { enter: {
          x: { scale: "x", field: "x", offset: 6 }, y: { field: "y", offset: (ROW - 2) / 2 }, baseline: { value: "middle" }, text: { field: "t" }, fill: { field: "tc" },
        } } },
      ],
    },
  };
};
PM.crumbs = () => {
  const tree = PM.treeOf(PM.device(), PM.treeState.by), box = document.getElementById("crumbs"), way = [];
  for (let node = PM.treeState.root; node >= 0; node = tree.parents[node]) way.unshift(node);
  box.replaceChildren(...way.flatMap((node, i) => {
    const name = PM.middle(node === 0 ? PM.data.model : tree.labels[node], 60);
    if (i === way.length - 1) return [PM.element("span", {}, `${name} \u00b7 ${PM.time(tree.seconds[node])}`)];
    return [PM.element("button", { type: "button", onclick: () => { PM.treeState.root = node; PM.crumbs(); PM.drawTree(); document.getElementById("chart-tree").focus(); } }, name), " \u203a "];
  }));
};
