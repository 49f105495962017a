"use strict";
// Unpacks the columns of a run: base64, deflate, JSON, deltas. Times are microseconds of the run.
const Codec = (() => {
  async function decode(base64) {
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return expand(JSON.parse(await new Response(stream).text()));
  }

  function expand(packed) {
    const evidence = new Map(packed.evidence);
    const run = {
      ...packed,
      count: packed.index.length,
      index: sums(packed.index),
      start: sums(packed.start),
      length: Float64Array.from(packed.length),
      process: Int32Array.from(packed.process),
      client: Int32Array.from(packed.client),
      status: Uint8Array.from(packed.status),
      evidence,
      kept: null,
    };
    run.rowOf = new Map(Array.from(run.index, (index, row) => [index, row]));
    run.end = Math.max(packed.end, 1);
    run.evidenceRows = Array.from(evidence.keys(), (index) => run.rowOf.get(index)).filter((row) => row !== undefined);
    run.evidenceRows.sort((a, b) => evidence.get(run.index[a]) - evidence.get(run.index[b]) || a - b);
    return run;
  }

  function sums(deltas) {
    const values = new Float64Array(deltas.length);
    let total = 0;
    for (let i = 0; i < deltas.length; i++) values[i] = total += deltas[i];
    return values;
  }

  return { decode };
})();
