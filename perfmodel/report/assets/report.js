// Wires the report: the device that is shown, filters by bound, the operator table.
"use strict";

// ---------------------------------------------------------------------------------------------------- table
{
  const PAGE = 50;
  const state = { sort: "i", down: false, text: "", grouped: false, page: 0, open: new Set(), marked: null };
  const COLUMNS = [
    ["i", "#", "n only-wide", (r) => r.i, (r) => String(r.i + 1)],
    ["name", "name", "name", (r) => r.name, (r) => PM.middle(r.name, 72)],
    ["op", "operator", "op only-wide", (r) => `${r.k.op} ${r.k.dtype}`, (r) => `${r.k.op} ${r.k.dtype}`],
    ["shape", "shape", "shape only-wide", (r) => r.k.shape, (r) => r.k.shape],
    ["n", "runs", "n only-wide", (r) => r.runs, (r) => String(r.runs)],
    ["t", "time", "n", (r) => r.t, (r) => PM.time(r.t)],
    ["share", "share", "n", (r) => r.t, (r) => PM.share(r.t / (PM.device().latency_s || 1))],
    ["flops", "FLOPs", "n only-wide", (r) => r.flops, (r) => PM.flops(r.flops).replace("FLOP", "")],
    ["bytes", "bytes", "n only-wide", (r) => r.bytes, (r) => PM.bytes(r.bytes)],
    ["intensity", "FLOP/B", "n only-wide", (r) => r.k.intensity, (r) => PM.digits(r.k.intensity)],
    ["efficiency", "of peak", "n only-wide", (r) => r.k.efficiency, (r) => PM.share(r.k.efficiency)],
    ["w", "power", "n only-wide", (r) => r.k.w ?? -1, (r) => PM.watts(r.k.w)],
    ["j", "energy", "n only-wide", (r) => r.j ?? -1, (r) => PM.energy(r.j)],
    ["bound", "bound", "word", (r) => r.k.bound, (r) => r.k.bound],
    ["source", "rests on", "word only-wide", (r) => r.k.source, (r) => r.k.source],
  ];
  const head = document.getElementById("operators-head"), body = document.getElementById("operators-body");
  const headers = COLUMNS.map(([key, title, kind]) => {
    const cell = PM.element("th", { scope: "col", class: kind.replace(/^(name|op|shape|word)\b/, "") }, PM.element("button", { type: "button", onclick: () => sortBy(key) }, title));
    cell.dataset.key = key;
    return cell;
  });
  head.append(PM.element("tr", {}, PM.element("th", { scope: "col" }, PM.element("span", { class: "sr" }, "how it was estimated")), ...headers));

  const sortBy = (key) => {
    const numeric = COLUMNS.find((c) => c[0] === key)[2].split(" ")[0] === "n" && key !== "i";
    if (state.sort === key) state.down = !state.down; else Object.assign(state, { sort: key, down: numeric });
    state.page = 0;
    show();
    PM.say(`sorted by ${COLUMNS.find((c) => c[0] === key)[1]}, ${state.down ? "largest" : "smallest"} first`);
  };
  const rowsOf = () => {
    const ops = PM.operatorsOf(PM.device()), words = state.text.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = (o) => PM.isShown(o.k) && words.every((w) => o.name.toLowerCase().includes(w) || `${o.k.op} ${o.k.shape} ${o.k.dtype} ${o.k.bound} ${o.k.source}`.toLowerCase().includes(w));
    const row = (o) => ({ i: o.i, name: o.name, k: o.k, runs: o.k.n, t: o.k.t[0], flops: o.k.flops, bytes: o.k.bytes, j: o.k.j, of: 1 });
    if (!state.grouped) return ops.filter(fits).map(row);
    const groups = new Map();
    for (const o of ops) {
      if (!fits(o)) continue;
      const g = groups.get(o.kind);
      if (!g) { groups.set(o.kind, row(o)); continue; }
      g.of += 1; g.runs += o.k.n; g.t += o.k.t[0]; g.flops += o.k.flops; g.bytes += o.k.bytes; if (g.j !== null) g.j += o.k.j;
      g.name = `${ops[g.i].name} and ${g.of - 1} more`;
    }
    return [...groups.values()];
  };
  const show = () => {
    const value = COLUMNS.find((c) => c[0] === state.sort)[3], way = state.down ? -1 : 1;
    const rows = rowsOf().sort((a, b) => { const x = value(a), y = value(b); return (x < y ? -way : x > y ? way : 0) || a.i - b.i; });
    const pages = Math.max(1, Math.ceil(rows.length / PAGE));
    if (state.marked !== null) state.page = Math.max(0, Math.floor(rows.findIndex((r) => r.i === state.marked) / PAGE));
    state.page = Math.min(state.page, pages - 1);
    const most = rows.reduce((longest, r) => Math.max(longest, r.t), 1e-30);
    body.replaceChildren(...rows.slice(state.page * PAGE, (state.page + 1) * PAGE).flatMap((r) => {
      const open = state.open.has(r.i), id = `how-${r.i}`;
      const toggle = PM.element("button", { type: "button", class: "expand", "aria-expanded": String(open), "aria-controls": id, "aria-label": `How ${PM.middle(r.name, 72)} was estimated`, onclick: () => {
        if (state.open.has(r.i)) state.open.delete(r.i); else state.open.add(r.i);
        state.marked = null;
        show();
        body.querySelector(`[aria-controls="${id}"]`)?.focus();
      } }, open ? "\u25be" : "\u25b8");
      const cells = COLUMNS.map(([key, , kind, , text]) => {
        const cell = PM.element("td", { class: kind });
        if (key === "bound") { const dot = PM.element("span", { class: "dot" }); dot.style.background = PM.boundColour(r.k.bound); cell.append(dot); }
        cell.append(text(r));
        if (key === "t") { const bar = PM.element("span", { class: "bar" }); bar.style.width = `${Math.max(2, 64 * r.t / most)}px`; cell.append(bar); }
        return cell;
      });
      const line = PM.element("tr", { class: r.i === state.marked ? "marked" : "" }, PM.element("td", {}, toggle), ...cells);
      if (!open) return [line];
      const each = r.k.n > 1 ? `, ${PM.time(r.k.t[0] / r.k.n)} a run` : "";
      return [line, PM.element("tr", { class: "how", id }, PM.element("td", { colspan: COLUMNS.length + 1 },
        ...(r.name.length > 72 ? [r.name, PM.element("br")] : []), PM.element("code", {}, r.k.how), PM.element("br"),
        `90 % interval ${PM.time(r.k.t[1])} to ${PM.time(r.k.t[2])}${each}; time rests on: ${r.k.source}${r.k.wsource ? `, power: ${r.k.wsource}` : ""}; peak of its format ${PM.rate(r.k.peak)}.`,
        // What a narrow screen has no columns for.
        PM.element("dl", { class: "only-narrow" }, ...COLUMNS.filter((c) => c[2].includes("only-wide")).flatMap(([, title, , , text]) => [PM.element("dt", {}, title), PM.element("dd", {}, text(r))]))))];
    }));
    for (const cell of headers) {
      if (cell.dataset.key === state.sort) cell.setAttribute("aria-sort", state.down ? "descending" : "ascending"); else cell.removeAttribute("aria-sort");
    }
    const total = rows.reduce((s, r) => s + r.t, 0);
    document.getElementById("operators-count").textContent = `${PM.count(rows.length, state.grouped ? "kind" : "operator")}, ${PM.share(total / (PM.device().latency_s || 1))} of the time`;
    document.getElementById("operators-page").textContent = `page ${state.page + 1} of ${pages}`;
    document.getElementById("operators-back").disabled = state.page === 0;
    document.getElementById("operators-next").disabled = state.page + 1 >= pages;
  };
  let timer = 0;
  document.getElementById("operators-search").addEventListener("input", (event) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      Object.assign(state, { text: event.target.value, page: 0, marked: null });
      show();
      PM.say(document.getElementById("operators-count").textContent);
    }, 90);
  });
  document.getElementById("operators-grouped").addEventListener("change", (event) => { Object.assign(state, { grouped: event.target.checked, page: 0, marked: null }); show(); });
  const turn = (by) => { state.page += by; state.marked = null; show(); };
  document.getElementById("operators-back").addEventListener("click", () => turn(-1));
  document.getElementById("operators-next").addEventListener("click", () => turn(1));

  PM.showTable = show;
  // Shows an operator that was chosen in a chart.
  PM.find = (o) => {
    Object.assign(state, { text: "", grouped: false, marked: o.i });
    document.getElementById("operators-search").value = "";
    document.getElementById("operators-grouped").checked = false;
    state.open.add(o.i);
    // One whose bound is hidden is in the tree alone: choosing it shows them again.
    if (PM.hiddenBounds.delete(o.k.bound)) PM.refresh(); else show();
    const button = body.querySelector(`[aria-controls="how-${o.i}"]`);
    button?.focus({ preventScroll: true });
    button?.scrollIntoView({ block: "center" });
  };
}

// --------------------------------------------------------------------------------------------- bounds, device
PM.legend = () => {
  const device = PM.device(), bar = document.getElementById("bounds-bar");
  const parts = Object.entries(device.bounds);
  bar.replaceChildren(...parts.map(([bound, share]) => { const i = PM.element("i"); i.style.width = `${100 * share}%`; i.style.background = PM.boundColour(bound); return i; }));
  bar.setAttribute("aria-label", `Share of the time by bound: ${parts.map(([b, s]) => `${b} ${PM.share(s)}`).join(", ")}`);
  for (const key of document.querySelectorAll(".bounds-key")) fillKey(key, parts);
  if (device.launch_gap_s > 0) document.getElementById("bounds-key").append(PM.element("li", {}, `and the device waits for the host for ${PM.share(device.launch_gap_s / device.latency_s)} of the run`));
};
const fillKey = (key, parts) => {
  key.replaceChildren(...parts.map(([bound, share]) => {
    const dot = PM.element("i");
    dot.style.background = PM.boundColour(bound);
    const button = PM.element("button", { type: "button", "aria-pressed": String(!PM.hiddenBounds.has(bound)), title: "show or hide these operators", onclick: () => {
      if (PM.hiddenBounds.has(bound)) PM.hiddenBounds.delete(bound); else PM.hiddenBounds.add(bound);
      PM.refresh();
      [...key.querySelectorAll("button")].find((b) => b.textContent.startsWith(bound))?.focus();
    } }, `${bound} ${PM.share(share)}`);
    return PM.element("li", {}, dot, button);
  }));
};
PM.refresh = () => { for (const redraw of PM.redraws) redraw(); };

PM.drawTree = PM.chart(document.getElementById("chart-tree"), PM.icicle);
PM.chart(document.getElementById("chart-roofline"), PM.roofline);
PM.chart(document.getElementById("chart-gap"), PM.gap);
PM.chart(document.getElementById("chart-waterline"), PM.waterline);
PM.chart(document.getElementById("chart-memory"), PM.memoryChart);
PM.chart(document.getElementById("chart-power"), PM.powerChart);
PM.redraws.unshift(() => { PM.legend(); PM.showTable(); });

for (const button of document.querySelectorAll("[data-tree]")) {
  button.addEventListener("click", () => {
    PM.treeState = { by: button.dataset.tree, root: 0 };
    for (const other of document.querySelectorAll("[data-tree]")) other.setAttribute("aria-pressed", String(other === button));
    PM.crumbs();
    PM.drawTree();
  });
}
PM.showDevice = (index, run = PM.run) => {
  PM.shown = index;
  PM.run = run;
  PM.hiddenBounds.clear();
  // Names without modules spell no tree.
  const { parents } = PM.device().modules;
  PM.treeState = { by: parents.slice(1).some((p) => p > 0) ? "module" : "family", root: 0 };
  for (const other of document.querySelectorAll("[data-tree]")) other.setAttribute("aria-pressed", String(other.dataset.tree === PM.treeState.by));
  for (const panel of document.querySelectorAll("[data-device]")) panel.hidden = panel.dataset.device !== String(index);
  for (const panel of document.querySelectorAll("[data-run]")) panel.hidden = panel.dataset.run !== String(run);
  for (const tab of document.querySelectorAll("[data-tab]")) tab.setAttribute("aria-pressed", String(tab.dataset.tab === String(index)));
  PM.crumbs();
  PM.refresh();
};
for (const tab of document.querySelectorAll("[data-tab]")) tab.addEventListener("click", () => { PM.showDevice(Number(tab.dataset.tab)); PM.say(`${PM.device().name} is shown`); });
PM.showDevice(0);
document.documentElement.dataset.ready = "true";
