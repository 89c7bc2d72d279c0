"use strict";
// Draws predicted conversations. Whatever comes from the data becomes text nodes and attributes, never markup.

const data = JSON.parse(document.getElementById("data").textContent);
const find = (id) => document.getElementById(id);

// Okabe and Ito's palette, which colour-blind readers can tell apart. An emotion keeps its colour from corpus to
// corpus; one that is not listed takes a colour that is left, and the word stands beside every colour anyway.
const PALETTE = ["#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#999999"];
const USUAL = new Map(Object.entries({
  happy: 0, happiness: 0, joy: 0, positive: 0, excited: 3, surprise: 3, surprised: 3, disgust: 2, sad: 4, sadness: 4,
  negative: 4, angry: 5, anger: 5, frustrated: 6, fear: 6, neutral: 7,
}));
const PAGE = 10; // Turns that Page Up and Page Down move by.
const MARGIN = { left: 48, right: 8 };
const GAPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000]; // Utterances between ticks,
const TICK = 44; // and the least pixels.
const ROW = 44; // Height of a row beside the arcs, in pixels, as in the style sheet.
const SPINE = 34; // Where the arcs begin and end.

const tones = chooseTones(data.emotions.map((name) => name.toLowerCase()));
let conversation = data.conversations[0];
let selected = 0;

function chooseTones(names) {
  const free = PALETTE.map((_, place) => place).filter((place) => !names.some((name) => USUAL.get(name) === place));
  const given = new Set();
  return names.map((name, order) => {
    let place = USUAL.get(name);
    if (place === undefined || given.has(place)) place = free.shift() ?? order % PALETTE.length;
    given.add(place);
    return PALETTE[place];
  });
}

// ---- Making elements

function fill(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("--")) made.style.setProperty(name, value);
    else if (value !== null && value !== false) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== ""));
  return made;
}
const make = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
const draw = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
const drawing = (width, height, parts) =>
  draw("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" }, ...parts);

const percent = (share) => `${Math.round(100 * share)} %`;
const twoDigits = (number) => String(Math.floor(number)).padStart(2, "0");
const clock = (seconds) => (seconds < 3600 ? `${Math.floor(seconds / 60)}`
  : `${Math.floor(seconds / 3600)}:${twoDigits(seconds / 60 % 60)}`) + `:${twoDigits(seconds % 60)}`;
const swatch = (emotion) => make("i", { class: "swatch", "--tone": tones[emotion], "aria-hidden": "true" });
const speakerOf = (turn) => conversation.speakers[turn.speaker];
const isWrong = (turn) => turn.label !== null && turn.label !== turn.emotion;

const times = (turn) => turn.start === null ? ""
  : clock(turn.start) + (turn.end === null ? "" : `–${clock(turn.end)}`);
const words = (turn) =>
  make("span", { class: turn.text ? "words" : "words absent", dir: "auto" }, turn.text || "no words");
const verdict = (turn) => turn.label === null ? null : make("span", { class: isWrong(turn) ? "wrong" : "right" },
  `${isWrong(turn) ? "✗" : "✓"} labelled ${data.emotions[turn.label]}`);

// ---- The conversation

function showConversation(place) {
  conversation = data.conversations[place];
  const turns = conversation.utterances;
  document.title = `${conversation.name}: predicted emotions`;
  find("name").textContent = conversation.name;
  const count = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;
  const facts = [count(turns.length, "utterance"), count(conversation.speakers.length, "speaker")];
  const moments = turns.flatMap((turn) => [turn.start, turn.end]).filter((moment) => moment !== null);
  if (moments.length) facts.push(`${clock(Math.max(...moments) - Math.min(...moments))} long`);
  const labelled = turns.filter((turn) => turn.label !== null);
  const wrong = labelled.filter(isWrong).length;
  if (labelled.length) facts.push(`${labelled.length - wrong} of ${labelled.length} as labelled`);
  find("facts").textContent = facts.join(" · ");
  find("legend").replaceChildren(...data.emotions.map((name, emotion) => {
    const often = turns.filter((turn) => turn.emotion === emotion).length;
    return make("li", { class: often ? "" : "unused" }, swatch(emotion), `${name} `, make("b", {}, `${often}`));
  }));
  find("turns").replaceChildren(...turns.map(makeTurn));
  find("curve").setAttribute("aria-valuemax", turns.length);
  showScores(conversation.scores);
  drawCurve();
  select(0, false);
}

// Accuracy, WAF1 and the confusion of the labelled utterances, if there are any.
function showScores(scores) {
  find("scores").hidden = !scores;
  if (!scores) return;
  find("score-line").textContent =
    `Against the labels: WAF1 ${percent(scores.waf1)}, accuracy ${percent(scores.waa)}`;
  const head = make("tr", {}, make("th", { scope: "col" }, "labelled as, below; predicted as, to the right"),
    ...data.emotions.map((name) => make("th", { scope: "col" }, name)));
  const rows = scores.confusion.map((counts, label) => counts.every((count) => count === 0) ? null
    : make("tr", {}, make("th", { scope: "row" }, swatch(label), data.emotions[label]),
      ...counts.map((count, emotion) => make("td", { class: emotion === label ? "hit" : "" }, `${count}`))));
  find("confusion").replaceChildren(make("thead", {}, head), make("tbody", {}, ...rows));
}

function makeTurn(turn, place) {
  let from = 0;
  const stops = turn.probabilities.map((share, emotion) => {
    const stop = `${tones[emotion]} ${100 * from}% ${100 * (from + share)}%`;
    from += share;
    return stop;
  });
  return make("li", {
    id: `turn-${place}`, role: "option", "aria-selected": "false", "--tone": tones[turn.emotion],
    class: `turn side-${turn.speaker % 2}`,
  },
  make("span", { class: "avatar", "aria-hidden": "true" }, [...speakerOf(turn).trim()][0]?.toUpperCase() ?? "?"),
  make("div", { class: "bubble" },
    make("div", { class: "meta" }, make("span", { class: "number" }, `${place + 1}`),
      make("b", { dir: "auto" }, speakerOf(turn)), make("span", { class: "time" }, times(turn))),
    words(turn),
    make("div", { class: "mix", "aria-hidden": "true", "--mix": `linear-gradient(to right, ${stops.join(", ")})` }),
    make("div", { class: "outcome" }, make("span", { class: "emotion" }, swatch(turn.emotion),
      `${data.emotions[turn.emotion]} ${percent(turn.probabilities[turn.emotion])}`), verdict(turn),
    make("span", { class: "unsure" }, `uncertainty ${turn.uncertainty.toFixed(2)}`))));
}

function select(place, reveal = true) {
  const turns = conversation.utterances;
  find(`turn-${selected}`)?.setAttribute("aria-selected", "false");
  selected = Math.min(Math.max(place, 0), turns.length - 1);
  const turn = turns[selected];
  const option = find(`turn-${selected}`);
  option.setAttribute("aria-selected", "true");
  find("turns").setAttribute("aria-activedescendant", option.id);
  if (reveal) option.scrollIntoView({ block: "nearest" });
  find("curve").setAttribute("aria-valuenow", selected + 1);
  find("curve").setAttribute("aria-valuetext", `Utterance ${selected + 1} of ${turns.length}, ${speakerOf(turn)}: `
    + `${data.emotions[turn.emotion]}, ${percent(turn.probabilities[turn.emotion])}`);
  markCurve();
  showDetail(turn);
}

function moveBy(event) {
  const steps = { ArrowUp: -1, ArrowLeft: -1, ArrowDown: 1, ArrowRight: 1, PageUp: -PAGE, PageDown: PAGE };
  const ends = { Home: 0, End: conversation.utterances.length - 1 };
  if (event.altKey || event.ctrlKey || event.metaKey || !(event.key in steps || event.key in ends)) return;
  event.preventDefault();
  const onCurve = event.currentTarget.id === "curve";
  const direction = onCurve && /Up|Down/.test(event.key) ? -1 : 1; // Up is more on every slider, and back in a list.
  select(ends[event.key] ?? selected + direction * steps[event.key], !onCurve);
}

// ---- The curve: the probabilities stacked, then the labels where they are known, then the uncertainty

function layOut() {
  const turns = conversation.utterances;
  const width = Math.max(find("curve").clientWidth, 240);
  const lanes = { probability: { top: 20, height: 150 } };
  if (turns.some((turn) => turn.label !== null)) lanes.label = { top: 192, height: 10 };
  lanes.uncertainty = { top: lanes.label ? 228 : 192, height: 26 };
  const below = lanes.uncertainty.top + lanes.uncertainty.height;
  const step = (width - MARGIN.left - MARGIN.right) / turns.length;
  return { turns, width, below, lanes, step, x: (place) => MARGIN.left + place * step };
}

function drawCurve() {
  const { turns, width, below, lanes, step, x } = layOut();
  const { probability, label, uncertainty } = lanes;
  const parts = [];
  const text = (left, top, value, anchor = "start") =>
    parts.push(draw("text", { x: left, y: top, "text-anchor": anchor }, value));
  const shape = (name, d, tone = null) => parts.push(draw("path", { class: name, d, fill: tone }));
  const layer = step < 6 ? "layer" : "layer parted";
  // Thousands of turns would be narrower than the screen can show: each column is then the mean of a few.
  const each = Math.max(1, Math.ceil(2 / step));
  const starts = turns.map((_, place) => place).filter((place) => place % each === 0);
  const means = (measure) => starts.map((start) => {
    const part = turns.slice(start, start + each);
    return part.reduce((sum, turn) => sum + measure(turn), 0) / part.length;
  });
  const level = (lane, share) => (lane.top + lane.height * (1 - share)).toFixed(1);
  const stairs = (lane, shares) => shares.map((share, column) =>
    `V${level(lane, share)}H${x(Math.min((column + 1) * each, turns.length)).toFixed(1)}`).join("");

  // The highest layer first: each next one covers it up to its own height.
  for (let emotion = data.emotions.length - 1; emotion >= 0; emotion -= 1) {
    const sum = (turn) => turn.probabilities.slice(0, emotion + 1).reduce((one, other) => one + other, 0);
    const floor = level(probability, 0);
    shape(layer, `M${MARGIN.left},${floor}${stairs(probability, means(sum))}V${floor}Z`, tones[emotion]);
  }
  text(0, 11, each === 1 ? "probability" : `probability, mean of ${each} utterances`);
  for (const share of [0, 0.5, 1]) {
    text(MARGIN.left - 6, Number(level(probability, share)) + 4, percent(share), "end");
    shape("grid", `M${MARGIN.left},${level(probability, share)}H${width - MARGIN.right}`);
  }
  if (label) {
    text(0, label.top - 5, "label (underlined where the prediction differs)");
    const boxes = (chosen, top, height) => turns.map((turn, place) =>
      chosen(turn) ? `M${x(place)},${top}h${step}v${height}h${-step}Z` : "").join("");
    tones.forEach((tone, emotion) =>
      shape(layer, boxes((turn) => turn.label === emotion, label.top, label.height), tone));
    shape("error", boxes(isWrong, label.top + label.height + 2, 3));
  }
  text(0, uncertainty.top - 5, "uncertainty");
  text(MARGIN.left - 6, uncertainty.top + 8, "1", "end");
  text(MARGIN.left - 6, below + 1, "0", "end");
  shape("doubt", `M${MARGIN.left},${below}${stairs(uncertainty, means((turn) => turn.uncertainty))}V${below}Z`);
  const every = GAPS.find((gap) => gap * step >= TICK) ?? turns.length;
  turns.forEach((turn, place) => {
    if (place && ((place + 1) % every || place * step < TICK)) return;
    const start = turn.start === null ? "" : clock(turn.start);
    const anchor = x(place + 0.5) + 4 * start.length > width ? "end" : "middle";
    text(x(place + 0.5), below + 15, `${place + 1}`, anchor);
    text(x(place + 0.5), below + 29, start, anchor);
  });
  const starting = turns.some((turn) => turn.start !== null) ? ", and when it starts" : "";
  text(width - MARGIN.right, below + 44, `utterance${starting}`, "end");
  shape("marker", "");
  find("curve").replaceChildren(drawing(width, below + 48, parts));
}

function markCurve() {
  const { lanes, step, x } = layOut();
  const width = Math.max(step, 4); // Can be seen in a conversation of thousands of turns.
  find("curve").querySelector(".marker").setAttribute("d", Object.values(lanes).map(({ top, height }) =>
    `M${x(selected + 0.5) - width / 2},${top}h${width}v${height}h${-width}Z`).join(""));
}

function pointAt(event) {
  if (event.type === "pointermove" && !(event.buttons & 1)) return;
  const { step } = layOut();
  const place = Math.floor((event.clientX - find("curve").getBoundingClientRect().left - MARGIN.left) / step);
  if (place !== selected) select(place, false);
}

// ---- The selected utterance

function showDetail(turn) {
  const where = [`Utterance ${selected + 1} of ${conversation.utterances.length}`, speakerOf(turn), times(turn)];
  find("summary").replaceChildren(
    make("p", { class: "where", dir: "auto" }, where.filter(Boolean).join(" · ")),
    make("p", { class: "result" }, swatch(turn.emotion), data.emotions[turn.emotion],
      make("span", { class: "share" }, percent(turn.probabilities[turn.emotion])), verdict(turn)));
  const bars = (rows) => make("ul", { class: "bars" }, ...rows);
  const probabilities = data.emotions.map((name, emotion) =>
    makeBar(name, turn.probabilities[emotion], tones[emotion], emotion === turn.emotion));
  const weights = turn.modalities.map(([name, weight, available]) => makeBar(name, available ? weight : null));
  const reveal = make("button", { type: "button", class: "reveal" }, "Show among the turns");
  reveal.addEventListener("click", () => find(`turn-${selected}`).scrollIntoView({ block: "center" }));
  const doubt = turn.uncertainty < 1 / 3 ? "low" : turn.uncertainty < 2 / 3 ? "moderate" : "high";
  find("detail").replaceChildren(
    make("blockquote", {}, words(turn), reveal),
    make("h3", {}, "Probability of each emotion"), bars(probabilities),
    make("h3", {}, "Weight of each modality"), bars(weights),
    make("h3", {}, "Uncertainty"), bars([makeBar(doubt, turn.uncertainty, null, false, turn.uncertainty.toFixed(2))]),
    ...makeLinks("edges", "Incoming edges of the graph", "Dashed: another speaker. Thicker: more alike.",
      turn.edges.map(([place, relation, weight]) => ({ place, weight, note: data.relations[relation], relation }))),
    ...makeLinks("influences", "Most attended utterances", "By the semantic encoder. Thicker: more attention.",
      turn.influences.map(([place, weight]) => ({ place, weight, note: times(conversation.utterances[place]) }))));
}

function makeBar(name, share, tone = null, strong = false, shown = `${(100 * share).toFixed(1)} %`) {
  return make("li", { class: strong ? "strong" : "" }, make("span", { class: "name" }, name),
    make("span", { class: share === null ? "track missing" : "track", "aria-hidden": "true" },
      make("i", { "--share": `${100 * share}%`, ...(tone && { "--tone": tone }) })),
    make("span", { class: "value" }, share === null ? "missing" : shown));
}

// A list in order of time with the selected utterance in its place, and an arc from each row to it.
function makeLinks(kind, title, hint, links) {
  const heading = make("h3", {}, title);
  if (!links.length) return [heading, make("p", { class: "hint" }, "None.")];
  const places = [...new Set([...links.map((link) => link.place), selected])].sort((a, b) => a - b);
  const middle = (place) => ROW * (places.indexOf(place) + 0.5);
  const to = middle(selected);
  const farthest = Math.max(...links.map((link) => Math.abs(middle(link.place) - to)), 1);
  const heaviest = Math.max(...links.map((link) => Math.abs(link.weight)), 1e-9);
  const arcs = links.map(({ place, weight, relation }) => {
    const from = middle(place);
    const bend = SPINE - 12 - 26 * Math.abs(from - to) / farthest;
    return draw("path", {
      class: relation > 1 ? "arc dashed" : "arc", "data-place": place + 1, "data-weight": weight,
      "stroke-width": (1 + 3 * Math.abs(weight) / heaviest).toFixed(2),
      d: from === to ? `M${SPINE},${to}C8,${to - 20} 8,${to + 20} ${SPINE},${to}`
        : `M${SPINE},${from}C${bend},${from} ${bend},${to} ${SPINE},${to}`,
    });
  });
  const dots = places.map((place) => draw("circle", { class: "dot", cx: SPINE, cy: middle(place),
    r: place === selected ? 7 : 5, fill: tones[conversation.utterances[place].emotion] }));
  const rows = places.map((place) => {
    const turn = conversation.utterances[place];
    const link = links.find((one) => one.place === place);
    const notes = [link?.note, place === selected ? "selected" : data.emotions[turn.emotion]].filter(Boolean);
    const row = make("button", { type: "button", class: place === selected ? "link own" : "link" },
      make("span", { class: "line" }, make("b", { dir: "auto" }, `${place + 1} ${speakerOf(turn)} `), words(turn)),
      make("span", { class: "note" }, notes.join(" · ")),
      make("span", { class: "value" }, link ? link.weight.toFixed(2) : ""));
    row.addEventListener("click", () => {
      select(place);
      find(kind)?.querySelector(".own").focus(); // The row that was pressed is gone.
    });
    return make("li", {}, row);
  });
  return [heading, make("p", { class: "hint" }, hint), make("div", { class: "links", id: kind },
    drawing(44, ROW * places.length, [...arcs, ...dots]), make("ol", {}, ...rows))];
}

// ---- Start

find("conversations").append(...data.conversations.map((one, place) =>
  make("option", { value: place }, `${one.name} (${one.utterances.length})`)));
find("chooser").hidden = data.conversations.length < 2;
find("conversations").addEventListener("change", (event) => showConversation(Number(event.target.value)));
find("turns").addEventListener("keydown", moveBy);
find("turns").addEventListener("focus", (event) => {
  if (event.target.matches(":focus-visible")) find(`turn-${selected}`).scrollIntoView({ block: "nearest" });
});
find("turns").addEventListener("click", (event) => {
  const option = event.target.closest("[role=option]");
  if (option) select(Number(option.id.slice("turn-".length)), false);
});
find("curve").addEventListener("keydown", moveBy);
find("curve").addEventListener("pointerdown", pointAt);
find("curve").addEventListener("pointermove", pointAt);
find("more").addEventListener("click", () => {
  const open = find("panel").classList.toggle("open");
  find("more").setAttribute("aria-expanded", open);
  find("more").textContent = open ? "Close" : "Details";
});
find("page").hidden = false;
showConversation(0);
new ResizeObserver(() => { drawCurve(); markCurve(); }).observe(find("curve"));
