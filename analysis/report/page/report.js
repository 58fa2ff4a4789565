"use strict";

const WATCH_MILLISECONDS = 3000;
const REACH = 24; // pixels from a marker at which it is still meant

/** Everything of one page; called again for each newer page that --watch brings. */
function start() {
  document.querySelectorAll("table[id]").forEach(makeSortable);
  document.querySelectorAll("[data-filters]").forEach((input) => {
    input.addEventListener("input", () => filter(input));
  });
  document.querySelectorAll(".figure").forEach(makeExplorable);
  const highlight = document.getElementById("highlight");
  if (highlight) highlight.addEventListener("change", () => mark(highlight.value));
}

function makeSortable(table) {
  table.querySelectorAll("thead th").forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => {
      sort(table, column, head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending");
    });
    head.append(button);
  });
}

/** Sorts the rows; equal ones keep their order, and cells without a number stay last. */
function sort(table, column, direction) {
  const heads = [...table.tHead.rows[0].cells];
  const numeric = "numeric" in heads[column].dataset;
  const sign = direction === "ascending" ? 1 : -1;
  const value = (row) => {
    const cell = row.cells[column];
    return numeric ? Number(cell.dataset.order ?? NaN) : cell.textContent;
  };
  const compare = (a, b) => {
    if (!numeric) return sign * a.localeCompare(b, "en", { numeric: true });
    if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
    return sign * (a - b);
  };
  const rows = [...table.tBodies[0].rows];
  table.tBodies[0].append(...rows.sort((one, other) => compare(value(one), value(other))));
  heads.forEach((head) => head.removeAttribute("aria-sort"));
  heads[column].setAttribute("aria-sort", direction);
}

/** Hides the rows that lack any of the words typed. */
function filter(input) {
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = [...document.getElementById(input.dataset.filters).tBodies[0].rows];
  for (const row of rows) {
    const text = [...row.cells].map((cell) => cell.textContent).join(" ").toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
  }
  const shown = rows.filter((row) => !row.hidden).length;
  const count = document.querySelector(`[data-counts="${input.dataset.filters}"]`);
  count.textContent = words.length ? `${shown} of ${rows.length} rows` : `${rows.length} rows`;
}

/** Marks one network in every plot and table. */
function mark(network) {
  document.querySelectorAll("[data-network]").forEach((element) => {
    element.classList.toggle("marked", network !== "" && element.dataset.network === network);
  });
}

/** Details of the points of a plot on hover, touch and focus, and the keys that go from one to the next. */
function makeExplorable(figure) {
  const area = figure.querySelector(".plot");
  const tip = figure.querySelector(".tip");
  const centre = (point) => {
    const box = point.querySelector(".marker").getBoundingClientRect();
    return [box.x + box.width / 2, box.y + box.height / 2];
  };
  const walks = () => [...area.querySelectorAll(".series:not([hidden])")]
    .map((series) => [...series.querySelectorAll(".point")])
    .filter((points) => points.length);

  const hide = () => {
    tip.hidden = true;
    figure.querySelectorAll(".near").forEach((point) => point.classList.remove("near"));
  };
  const show = (point) => {
    hide();
    point.classList.add("near");
    tip.textContent = point.getAttribute("aria-label");
    tip.hidden = false;
    const frame = figure.getBoundingClientRect();
    const [x, y] = centre(point);
    const left = Math.min(Math.max(x - frame.x - tip.offsetWidth / 2, 0), frame.width - tip.offsetWidth);
    const above = y - frame.y - tip.offsetHeight - 28;
    tip.style.left = `${left}px`;
    tip.style.top = `${above >= 0 ? above : y - frame.y + 18}px`;
  };
  /** One point of a plot is in the tab order: that which was last looked at, and the first before. */
  const makeTabStop = (point) => {
    area.querySelectorAll('.point[tabindex="0"]').forEach((other) => other.setAttribute("tabindex", "-1"));
    if (point) point.setAttribute("tabindex", "0");
  };
  const nearest = (x, y) => {
    let best = null;
    let least = REACH;
    for (const point of walks().flat()) {
      const distance = Math.hypot(...centre(point).map((value, axis) => value - [x, y][axis]));
      if (distance <= least) [best, least] = [point, distance];
    }
    return best;
  };

  makeTabStop(walks().flat()[0]);
  area.addEventListener("focusin", (event) => {
    const point = event.target.closest(".point");
    makeTabStop(point);
    show(point);
  });
  area.addEventListener("focusout", hide);
  const point = (event) => {
    const found = nearest(event.clientX, event.clientY);
    if (found) show(found);
    else hide();
  };
  area.addEventListener("pointermove", point);
  area.addEventListener("pointerdown", point);
  area.addEventListener("pointerleave", (event) => {
    if (event.pointerType === "mouse") hide();
  });
  area.addEventListener("keydown", (event) => {
    const all = walks();
    const line = all.findIndex((points) => points.includes(event.target));
    if (event.key === "Escape") hide();
    if (line < 0) return;
    const points = all[line];
    const place = points.indexOf(event.target);
    const beside = (step) => {
      const others = all[(line + step + all.length) % all.length];
      const [x] = centre(event.target);
      const distance = (other) => Math.abs(centre(other)[0] - x);
      return others.reduce((best, other) => (distance(other) < distance(best) ? other : best));
    };
    const next = {
      ArrowLeft: () => points[Math.max(place - 1, 0)],
      ArrowRight: () => points[Math.min(place + 1, points.length - 1)],
      ArrowUp: () => beside(1),
      ArrowDown: () => beside(-1),
      Home: () => points[0],
      End: () => points[points.length - 1],
    }[event.key];
    if (!next) return;
    event.preventDefault();
    next().focus();
  });
  figure.querySelectorAll("input[data-kind]").forEach((box) => {
    box.addEventListener("change", () => {
      area.querySelectorAll(".series").forEach((series) => {
        if (series.dataset.kind === box.dataset.kind) series.toggleAttribute("hidden", !box.checked);
      });
      hide();
      makeTabStop(walks().flat()[0]);
    });
  });
}

/** What the reader has set and where the focus is, as a function that sets a newer page alike. */
function settings() {
  const key = (input) => input.id || input.dataset.filters || `${input.closest(".figure").id} ${input.dataset.kind}`;
  const inputs = () => [...document.querySelectorAll("input, select")];
  const state = (input) => (input.type === "checkbox" ? "checked" : "value");
  const values = new Map(inputs().map((input) => [key(input), input[state(input)]]));
  const sorted = [...document.querySelectorAll("[aria-sort]")].map((head) => [
    head.closest("table").id, head.cellIndex, head.getAttribute("aria-sort"),
  ]);
  const open = document.querySelector("details").open;
  const focus = placeOf(document.activeElement);
  return () => {
    for (const [table, column, direction] of sorted) {
      const found = document.getElementById(table);
      if (found) sort(found, column, direction);
    }
    for (const input of inputs().filter((each) => values.has(key(each)))) {
      input[state(input)] = values.get(key(input));
      input.dispatchEvent(new Event(input.type === "search" ? "input" : "change"));
    }
    document.querySelector("details").open = open;
    const element = focus();
    if (element) element.focus({ preventScroll: true });
  };
}

/** Finds what stands for this element in a newer page: the same network's point, or the same control. */
function placeOf(element) {
  const home = element && element.closest("main [id]");
  if (!home) return () => null;
  const alike = (root) => [...root.querySelectorAll("button, input, .point, [tabindex], summary")];
  const place = alike(home).indexOf(element);
  const isPoint = element.matches(".point");
  const said = (point) => `${point.dataset.network} ${point.closest(".series").dataset.kind}`;
  return () => {
    const root = document.getElementById(home.id);
    if (!root || home === element) return root;
    if (!isPoint) return alike(root)[place];
    const same = [...root.querySelectorAll(".point")].find((other) => said(other) === said(element));
    return same ?? root.querySelector('.point[tabindex="0"]');
  };
}

/** Asks the server that sent this page for a newer one, and puts it in this one's place. */
async function watch(first) {
  const live = document.getElementById("live");
  let last = first;
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, WATCH_MILLISECONDS));
    if (document.hidden) continue;
    const answer = await fetch("/", { cache: "no-cache" }).catch(() => null);
    const text = answer && await answer.text();
    if (answer && answer.ok) {
      const main = new DOMParser().parseFromString(text, "text/html").querySelector("main");
      if (main.outerHTML !== last) {
        last = main.outerHTML;
        const restore = settings();
        document.querySelector("main").replaceWith(main);
        start();
        restore();
      }
    }
    const trouble = answer ? `This page is as it last was: ${text}` : "The server has ended: this page is as it last was.";
    const said = answer && answer.ok ? live.dataset.well : trouble;
    // Only what changes is written, as a screen reader reads out whatever is.
    if (live.textContent !== said) live.textContent = said;
  }
}

const first = document.querySelector("main").outerHTML;
start();
if ("watch" in document.documentElement.dataset) watch(first);
