"use strict";
// Wires the page: choosing a run, moving and zooming, selecting, the filter, and the state in the URL fragment.
(() => {
  const $ = (id) => document.getElementById(id);
  const box = $("timeline-box");
  const STATUS = ["ok", "fail", "info"];
  const LANES_AT_FIRST = 40;
  const state = { run: null, name: "", plan: null, mode: "process", selected: -1, drawing: false, chosen: false };

  for (const button of document.querySelectorAll(".copy")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const text = button.previousElementSibling.textContent;
      try {
        await navigator.clipboard.writeText(text);
        button.textContent = "copied";
      } catch {
        getSelection().selectAllChildren(button.previousElementSibling);
        button.textContent = "selected";
      }
    });
  }
  addEventListener("beforeprint", () => document.querySelectorAll("details:not(.raw)").forEach((d) => { d.open = true; }));
  if (!box || !$("run-choice").options.length) return;
  box.hidden = false;

  const choice = $("run-choice");
  const [lanes, overview, rate, latency] = ["lanes", "overview", "rate", "latency"].map($);
  const cache = new Map();

  async function load(name) {
    const option = [...choice.options].find((candidate) => candidate.value === name) || choice.options[0];
    choice.value = option.value;
    if (!cache.has(option.value)) {
      cache.set(option.value, Lanes.index(await Codec.decode($(option.dataset.payload).textContent)));
    }
    state.run = cache.get(option.value);
    state.name = option.value;
    state.selected = -1;
    Axis.view.end = state.run.end;
    Axis.show(0, state.run.end);
    $("latency-function").replaceChildren(...Object.keys(state.run.series.latency).map((text) => new Option(text)));
    applyFilter();
    // A client whose operation ended in info goes on as a new process: where that made very many, lanes by client say more.
    if (!state.chosen) setMode(new Set(state.run.process).size > LANES_AT_FIRST ? "client" : "process");
    arrange();
    select(-1, { keep: false });
  }

  function setMode(mode) {
    const radio = [...document.querySelectorAll('input[name="lanes"]')].find((candidate) => candidate.value === mode);
    if (!radio) return;
    radio.checked = true;
    state.mode = mode;
  }

  function arrange() {
    state.plan = Lanes.layout(state.run, state.mode);
    redraw();
  }

  function redraw() {
    if (state.drawing || !state.run) return;
    state.drawing = true;
    requestAnimationFrame(() => {
      state.drawing = false;
      const began = performance.now();
      Lanes.draw(lanes, state.run, state.plan, state.selected);
      Plots.overview(overview, state.run);
      Plots.rate(rate, state.run);
      Plots.latency(latency, state.run, $("latency-function").value);
      lanes.dataset.redrawMs = (performance.now() - began).toFixed(2);
      lanes.dataset.run = state.name;
      lanes.dataset.lanes = state.mode;
      if (state.selected < 0) delete lanes.dataset.selected;
      else lanes.dataset.selected = state.run.index[state.selected];
      lanes.dataset.from = Math.round(Axis.view.from);
      lanes.dataset.to = Math.round(Axis.view.to);
    });
  }

  // --- filter -------------------------------------------------------------------------------------------------
  function applyFilter() {
    const run = state.run;
    const terms = $("filter").value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    run.kept = null;
    let kept = run.count;
    if (terms.length) {
      run.kept = new Uint8Array(run.count);
      kept = 0;
      for (let i = 0; i < run.count; i++) kept += run.kept[i] = terms.every((term) => matches(run, i, term)) ? 1 : 0;
    }
    const thousands = (count) => count.toLocaleString("en");
    const sampled = run.count < run.total ? "" : " operations";
    $("showing").textContent = kept < run.total ? `showing ${thousands(kept)} of ${thousands(run.total)}` : `${thousands(run.total)}${sampled}`;
  }

  function matches(run, i, term) {
    const [key, wanted] = term.includes(":") ? term.split(/:(.*)/s) : ["", term];
    if (key === "status") return STATUS[run.status[i]] === wanted;
    if (key === "client") return String(run.client[i]) === wanted;
    if (key === "process") return String(run.process[i]) === wanted;
    if (key === "member") return run.nodes[run.node[i]].toLowerCase() === wanted;
    if (key === "function") return run.functions[run.function[i]].toLowerCase().includes(wanted);
    return `${run.asked[i]} ${run.ended[i]}`.toLowerCase().includes(term);
  }

  // --- selection ----------------------------------------------------------------------------------------------
  function rows(i) {
    const run = state.run;
    const asked = run.asked[i] || `${run.functions[run.function[i]]} (values are in the stored history)`;
    const length = run.length[i] < 0 ? "never returned" : `${(run.length[i] / 1000).toFixed(2)} ms`;
    return [
      ["operation", `${run.index[i]}, client ${run.client[i]}, process ${run.process[i]}`],
      ["asked", asked],
      ["got", `${STATUS[run.status[i]]}${run.ended[i] ? `: ${run.ended[i]}` : ""}`],
      ["when", `${(run.start[i] / 1e6).toFixed(6)} s, ${length}, answered by ${run.nodes[run.node[i]] || "nobody"}`],
    ];
  }

  function select(i, { keep = true } = {}) {
    state.selected = i;
    const detail = $("detail");
    if (i < 0) {
      const count = state.run.evidenceRows.length;
      detail.textContent = count
        ? `No operation selected. Press n for the first of ${count} evidence operations of this run.`
        : "No operation selected. This run has no evidence operations: nothing was seen broken in it.";
    } else {
      const list = document.createElement("dl");
      for (const [name, text] of rows(i)) {
        const [term, description] = [document.createElement("dt"), document.createElement("dd")];
        term.textContent = name;
        description.textContent = text;
        list.append(term, description);
      }
      detail.replaceChildren(list);
      const number = state.run.evidence.get(state.run.index[i]);
      if (number !== undefined) list.append(...findingLink(number));
    }
    if (keep) remember();
    redraw();
  }

  function findingLink(number) {
    const finding = document.querySelectorAll(".finding")[number - 1];
    if (!finding) return [];
    const [term, description, link] = ["dt", "dd", "a"].map((tag) => document.createElement(tag));
    term.textContent = "evidence of";
    link.href = `#${finding.id}`;
    link.textContent = finding.querySelector("h3 > span").textContent;
    description.append(link);
    return [term, description];
  }

  function reveal(i) {
    const run = state.run;
    const width = Axis.view.to - Axis.view.from;
    const span = Math.min(width, Math.max(50_000, 30 * Math.max(0, run.length[i]), 2 * Math.max(0, run.length[i])), 4_000_000);
    const middle = run.start[i] + Math.max(0, run.length[i]) / 2;
    Axis.show(middle - span / 2, middle + span / 2);
    const scroll = $("lanes-scroll");
    scroll.scrollTop = Math.max(0, 52 + state.plan.row[i] * state.plan.rowHeight - scroll.clientHeight / 2);
    select(i);
  }

  async function jump(direction) {
    const list = state.run.evidenceRows;
    const at = list.indexOf(state.selected);
    const next = at < 0 ? (direction > 0 ? 0 : list.length - 1) : at + direction;
    if (next >= 0 && next < list.length) return reveal(list[next]);
    const names = [...choice.options].filter((option) => Number(option.dataset.evidence) > 0).map((option) => option.value);
    if (!names.length) return undefined;
    const place = names.indexOf(state.name);
    await load(names[(place + direction + names.length) % names.length]);
    const rowsOfRun = state.run.evidenceRows;
    if (rowsOfRun.length) reveal(rowsOfRun[direction > 0 ? 0 : rowsOfRun.length - 1]);
    return undefined;
  }

  // --- the URL fragment ---------------------------------------------------------------------------------------
  function remember() {
    const parameters = new URLSearchParams({ run: state.name });
    if (state.selected >= 0) parameters.set("op", state.run.index[state.selected]);
    if (Axis.view.from > 0 || Axis.view.to < Axis.view.end) {
      parameters.set("from", Math.round(Axis.view.from));
      parameters.set("to", Math.round(Axis.view.to));
    }
    if (state.chosen) parameters.set("lanes", state.mode);
    if ($("filter").value) parameters.set("filter", $("filter").value);
    history.replaceState(null, "", `#timeline?${parameters}`);
  }

  async function recall() {
    if (!location.hash.startsWith("#timeline?")) return;
    const parameters = new URLSearchParams(location.hash.slice("#timeline?".length));
    if (parameters.has("lanes")) {
      setMode(parameters.get("lanes"));
      state.chosen = true;
    }
    $("filter").value = parameters.get("filter") || "";
    await load(parameters.get("run") || state.name);
    const [from, to] = [Number(parameters.get("from")), Number(parameters.get("to"))];
    const row = state.run.rowOf.get(Number(parameters.get("op")));
    if (to > from) Axis.show(from, to);
    if (parameters.has("op") && row !== undefined) {
      if (to > from) select(row);
      else reveal(row);
    }
    $("timeline").scrollIntoView();
    redraw();
  }

  // --- pointer ------------------------------------------------------------------------------------------------
  const local = (canvas, event) => {
    const frame = canvas.getBoundingClientRect();
    return [event.clientX - frame.left, event.clientY - frame.top, frame.width];
  };

  function tip(event, i) {
    const bubble = $("tip");
    bubble.hidden = i < 0;
    if (i < 0) return;
    bubble.textContent = rows(i).slice(1).map(([, text]) => text).join("\n");
    bubble.style.left = `${Math.min(event.clientX + 14, innerWidth - 430)}px`;
    bubble.style.top = `${Math.min(event.clientY + 16, innerHeight - 90)}px`;
  }

  let drag = null;
  lanes.addEventListener("pointerdown", (event) => {
    const [px, , width] = local(lanes, event);
    lanes.setPointerCapture(event.pointerId);
    drag = { px, from: Axis.view.from, to: Axis.view.to, width, moved: false };
  });
  lanes.addEventListener("pointermove", (event) => {
    const [px, py, width] = local(lanes, event);
    if (!state.run) return;
    readValues(Axis.time(px, width));
    if (!drag) return tip(event, Lanes.hit(state.run, state.plan, px, py, width));
    if (Math.abs(px - drag.px) > 3) drag.moved = true;
    const shift = (drag.px - px) / Axis.scale(width, drag.from, drag.to);
    Axis.show(drag.from + shift, drag.to + shift);
    return redraw();
  });
  lanes.addEventListener("pointerup", (event) => {
    const [px, py, width] = local(lanes, event);
    lanes.focus({ preventScroll: true });
    if (drag && !drag.moved) select(Lanes.hit(state.run, state.plan, px, py, width));
    else remember();
    drag = null;
  });
  lanes.addEventListener("pointerleave", (event) => tip(event, -1));
  lanes.addEventListener("wheel", (event) => {
    // A page must stay scrollable under the pointer: the wheel zooms where the reader has shown that he means it.
    if (!(event.ctrlKey || event.metaKey || document.activeElement === lanes)) return;
    event.preventDefault();
    const [px, , width] = local(lanes, event);
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      const shift = ((event.deltaX || event.deltaY) / width) * (Axis.view.to - Axis.view.from);
      Axis.show(Axis.view.from + shift, Axis.view.to + shift);
    } else Axis.zoom(Math.exp(Math.max(-1, Math.min(1, event.deltaY / 300))), Axis.time(px, width));
    remember();
    redraw();
  }, { passive: false });

  function readValues(time) {
    const [rates, latencies] = Plots.read(state.run, time, $("latency-function").value);
    $("rate-values").textContent = rates;
    $("latency-values").textContent = latencies;
  }
  for (const canvas of [rate, latency]) {
    canvas.addEventListener("pointermove", (event) => {
      const [px, , width] = local(canvas, event);
      if (state.run) readValues(Axis.time(px, width));
    });
  }

  let brush = null;
  overview.addEventListener("pointerdown", (event) => {
    const [px, , width] = local(overview, event);
    overview.setPointerCapture(event.pointerId);
    const scale = Axis.scale(width, 0, state.run.end);
    const at = (px - Axis.LEFT) / scale;
    const near = (time) => Math.abs(at - time) * scale < 6;
    const whole = Axis.view.from <= 0 && Axis.view.to >= state.run.end;
    const { from, to } = Axis.view;
    if (!whole && near(from)) brush = { scale, anchor: to };
    else if (!whole && near(to)) brush = { scale, anchor: from };
    else if (!whole && at > from && at < to) brush = { scale, grip: at - from, span: to - from };
    else brush = { scale, anchor: at, fresh: true };
  });
  overview.addEventListener("pointermove", (event) => {
    if (!brush) return;
    const at = (local(overview, event)[0] - Axis.LEFT) / brush.scale;
    if (brush.grip !== undefined) Axis.show(at - brush.grip, at - brush.grip + brush.span);
    else if (Math.abs(at - brush.anchor) * brush.scale > 2) Axis.show(Math.min(at, brush.anchor), Math.max(at, brush.anchor));
    redraw();
  });
  overview.addEventListener("pointerup", () => { brush = null; remember(); });
  overview.addEventListener("dblclick", () => { Axis.show(0, state.run.end); remember(); redraw(); });

  // --- keys and controls --------------------------------------------------------------------------------------
  const middle = () => (Axis.view.from + Axis.view.to) / 2;
  const pan = (share) => {
    const span = Axis.view.to - Axis.view.from;
    Axis.show(Axis.view.from + span * share, Axis.view.to + span * share);
  };
  const moves = {
    ArrowLeft: () => pan(-0.2), ArrowRight: () => pan(0.2),
    "+": () => Axis.zoom(0.6, middle()), "=": () => Axis.zoom(0.6, middle()), "-": () => Axis.zoom(1 / 0.6, middle()),
    0: () => Axis.show(0, state.run.end), Escape: () => select(-1),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || /INPUT|SELECT|TEXTAREA/.test(event.target.tagName)) return;
    if (event.key === "n" || event.key === "p") {
      jump(event.key === "n" ? 1 : -1).then(() => box.scrollIntoView({ block: "nearest" }));
    } else if ((document.activeElement === lanes || event.key === "Escape") && moves[event.key]) {
      event.preventDefault();
      moves[event.key]();
      remember();
      redraw();
    }
  });
  const act = (id, action) => $(id).addEventListener("click", () => { action(); remember(); redraw(); });
  act("zoom-in", moves["+"]);
  act("zoom-out", moves["-"]);
  act("zoom-all", moves[0]);
  $("next-evidence").addEventListener("click", () => jump(1));
  $("previous-evidence").addEventListener("click", () => jump(-1));
  choice.addEventListener("change", () => load(choice.value));
  $("latency-function").addEventListener("change", redraw);
  $("filter").addEventListener("input", () => { applyFilter(); remember(); redraw(); });
  for (const radio of document.querySelectorAll('input[name="lanes"]')) {
    radio.addEventListener("change", () => { state.mode = radio.value; state.chosen = true; arrange(); remember(); });
  }
  addEventListener("hashchange", recall);
  addEventListener("resize", redraw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { Axis.readColours(); redraw(); });

  Axis.readColours();
  load(choice.value).then(recall);
})();
