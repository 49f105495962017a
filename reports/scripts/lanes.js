"use strict";
// The lanes: every operation as a bar whose colour and shape tell its status. Bars that fall on the same pixels are
// drawn once, so that a redraw costs what the screen can show and not what the run did.
const Lanes = (() => {
  const HEAD = 52;
  const FOOT = 18;
  const FADE = 26;
  const CLOSEST_RINGS = 9;
  const PACKED_ROWS = 12;
  const [OK, FAIL, INFO] = [0, 1, 2];

  function layout(run, mode) {
    const packed = mode === "member" ? byMember(run) : byNumber(run, run[mode], mode);
    const rowOps = Array.from({ length: packed.rows }, () => []);
    for (let i = 0; i < run.count; i++) rowOps[packed.row[i]].push(i);
    const height = Math.max(7, Math.min(26, 340 / packed.rows));
    return { ...packed, rowOps, rowHeight: height, height: HEAD + height * packed.rows + FOOT };
  }

  function byNumber(run, column, word) {
    const numbers = [...new Set(column)].sort((a, b) => a - b);
    const place = new Map(numbers.map((number, row) => [number, row]));
    const lanes = numbers.map((number, row) => ({ label: `${word} ${number}`, first: row, rows: 1 }));
    return { row: Int32Array.from(column, (number) => place.get(number)), lanes, rows: numbers.length };
  }

  // Operations that one member answered overlap: each goes to the first row that is free again.
  function byMember(run) {
    const order = run.nodes.map((_, node) => node).sort((a, b) => (run.nodes[a] || "~").localeCompare(run.nodes[b] || "~"));
    const free = new Map(order.map((node) => [node, []]));
    const local = new Int32Array(run.count);
    for (let i = 0; i < run.count; i++) {
      const rows = free.get(run.node[i]);
      let row = rows.findIndex((until) => until <= run.start[i]);
      if (row < 0) row = rows.length < PACKED_ROWS ? rows.length : i % PACKED_ROWS;
      rows[row] = run.start[i] + Math.max(0, run.length[i]);
      local[i] = row;
    }
    const lanes = [];
    const offset = new Map();
    let total = 0;
    for (const node of order) {
      const rows = Math.max(1, free.get(node).length);
      lanes.push({ label: run.nodes[node] || "no answer", first: total, rows });
      offset.set(node, total);
      total += rows;
    }
    return { row: local.map((row, i) => row + offset.get(run.node[i])), lanes, rows: Math.max(1, total) };
  }

  function firstAfter(rows, start, time) {
    let [low, high] = [0, rows.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (start[rows[middle]] < time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  const finish = (run, i) => run.start[i] + (run.length[i] < 0 ? Infinity : run.length[i]);

  function draw(canvas, run, plan, selected) {
    const { context, width, height } = Axis.prepare(canvas, plan.height);
    const toX = (time) => Axis.x(time, width);
    Axis.ticks(context, width, 9, height);
    Axis.clip(context, width, height);
    Axis.bands(context, run, toX, height, { top: 18, labels: true });
    lines(context, plan, width);
    const marks = { context, run, plan, toX, right: width - Axis.RIGHT };
    bars(marks, OK, okBar);
    bars(marks, FAIL, failBar);
    bars(marks, INFO, infoBar);
    evidence(marks);
    Axis.primaries(context, run, toX, height, { top: 34, labels: true });
    phases(context, run, toX, height);
    if (selected >= 0) ring(marks, selected, Axis.colours.ink, 2.5);
    context.restore();
    labels(context, plan);
  }

  function lines(context, plan, width) {
    context.strokeStyle = Axis.colours.line;
    context.beginPath();
    for (const lane of plan.lanes) {
      const y = HEAD + lane.first * plan.rowHeight + 0.5;
      context.moveTo(Axis.LEFT, y);
      context.lineTo(width, y);
    }
    context.stroke();
  }

  function labels(context, plan) {
    context.fillStyle = Axis.colours.muted;
    let last = -Infinity;
    for (const lane of plan.lanes) {
      const y = HEAD + (lane.first + lane.rows / 2) * plan.rowHeight;
      if (y - last < 13) continue;
      context.fillText(Axis.fitted(context, lane.label, Axis.LEFT - 12), 6, y);
      last = y;
    }
  }

  function phases(context, run, toX, height) {
    context.fillStyle = Axis.colours.muted;
    let lastRight = -Infinity;
    for (const [at, name] of run.phases) {
      const place = toX(at);
      context.fillRect(place, height - 14, 1, 14);
      if (place < lastRight) continue;
      context.fillText(name, place + 3, height - 7);
      lastRight = place + context.measureText(name).width + 8;
    }
  }

  function bars({ context, run, plan, toX, right }, status, bar) {
    const longest = run.longest[status];
    const rows = run.byStatus[status];
    const covered = new Float64Array(plan.rows).fill(-Infinity);
    context.beginPath();
    for (let k = firstAfter(rows, run.start, Axis.view.from - longest); k < rows.length; k++) {
      const i = rows[k];
      if (run.start[i] > Axis.view.to) break;
      if (run.kept && !run.kept[i]) continue;
      const left = toX(run.start[i]);
      const end = Math.max(left + 1, Math.min(right, toX(finish(run, i))));
      const row = plan.row[i];
      if (end <= covered[row]) continue;
      covered[row] = Math.ceil(end);
      bar(context, left, end - left, HEAD + row * plan.rowHeight, plan.rowHeight);
    }
    context.fillStyle = context.strokeStyle = Axis.colours[["ok", "fail", "info"][status]];
    if (status === INFO) context.globalAlpha = 0.85;
    context.fill();
    context.globalAlpha = 1;
    if (status === FAIL) context.stroke();
  }

  function okBar(context, left, width, top, height) {
    context.rect(left, top + height * 0.26, width, height * 0.5);
  }

  // A hollow frame: four thin sides, so that one fill draws them all.
  function failBar(context, left, width, top, height) {
    const [y, tall] = [top + height * 0.1, height * 0.8];
    if (width < 5) return context.rect(left, y, Math.max(1.5, width), tall);
    context.rect(left, y, width, 1.5);
    context.rect(left, y + tall - 1.5, width, 1.5);
    context.rect(left, y, 1.5, tall);
    context.rect(left + width - 1.5, y, 1.5, tall);
    context.moveTo(left, y);
    context.lineTo(left + width, y + tall);
  }

  // Nobody knows when it took effect: a wedge that thins out to the right of the moment at which the caller gave up.
  function infoBar(context, left, width, top, height) {
    const [y, tall] = [top + height * 0.1, height * 0.8];
    context.moveTo(left, y);
    context.lineTo(left + width, y + tall * 0.25);
    context.lineTo(left + width + FADE, y + tall / 2);
    context.lineTo(left + width, y + tall * 0.75);
    context.lineTo(left, y + tall);
    context.closePath();
  }

  function evidence(marks) {
    const covered = new Map();
    for (const i of marks.run.evidenceRows) {
      if (marks.run.start[i] > Axis.view.to || finish(marks.run, i) < Axis.view.from) continue;
      const [row, left] = [marks.plan.row[i], marks.toX(marks.run.start[i])];
      if (Math.abs(left - (covered.get(row) ?? -Infinity)) < CLOSEST_RINGS) continue;
      covered.set(row, left);
      ring(marks, i, Axis.colours.evidence, 2);
    }
  }

  function ring({ context, run, plan, toX, right }, i, colour, thickness) {
    const left = toX(run.start[i]);
    const end = Math.min(right, toX(finish(run, i)));
    context.strokeStyle = colour;
    context.lineWidth = thickness;
    const top = HEAD + plan.row[i] * plan.rowHeight;
    context.strokeRect(left - 2.5, top + 0.5, Math.max(6, end - left + 5), plan.rowHeight - 1);
    context.lineWidth = 1;
  }

  // Returns the operation under a point, or -1; of several the one whose bar is nearest.
  function hit(run, plan, px, py, width) {
    const row = Math.floor((py - HEAD) / plan.rowHeight);
    if (row < 0 || row >= plan.rows || px < Axis.LEFT) return -1;
    const slack = 4 / Axis.scale(width);
    const time = Axis.time(px, width);
    const rows = plan.rowOps[row];
    let [best, distance] = [-1, slack];
    for (let k = firstAfter(rows, run.start, time + slack) - 1, seen = 0; k >= 0 && seen < 64; k--, seen++) {
      const i = rows[k];
      if (run.kept && !run.kept[i]) continue;
      const away = Math.max(run.start[i] - time, time - finish(run, i), 0);
      if (away < distance) [best, distance] = [i, away];
      if (away === 0) break;
    }
    return best;
  }

  function index(run) {
    run.byStatus = [[], [], []];
    run.longest = [0, 0, 0];
    for (let i = 0; i < run.count; i++) {
      run.byStatus[run.status[i]].push(i);
      const length = run.length[i] < 0 ? run.end : run.length[i];
      run.longest[run.status[i]] = Math.max(run.longest[run.status[i]], length);
    }
    return run;
  }

  return { layout, draw, hit, index };
})();
