"use strict";
(() => {
  const data = JSON.parse(document.querySelector('script[type="application/json"]').textContent);
  const names = new Map(data.names);
  const sections = [...document.querySelectorAll("section.board")];
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const TEXT_LIMIT = 20; // languages; more are drawn as pixels without numbers

  const SEQUENTIAL = ["#ffffe8", "#edf8b1", "#c7e9b4", "#7fcdbb", "#41b6c4", "#1d91c0", "#225ea8", "#253494", "#081d58"];
  const FALLING = { light: ["#fbf7f2", "#fee0b6", "#fdb863", "#e08214", "#b35806", "#7f3b08"],
    dark: ["#21242a", "#5c2f0a", "#a34f06", "#e08214", "#fdb863", "#fee0b6"] };
  const RISING = { light: ["#fbf7f2", "#d1e5f0", "#92c5de", "#4393c3", "#2166ac", "#053061"],
    dark: ["#21242a", "#10304f", "#1c5690", "#3d8cc4", "#8cc4e4", "#d8ecf6"] };

  const KINDS = {
    weak: { label: "weak: mono and cross", what: (m) => m,
      says: (m) => `${m} of each direction alone: questions in the language of the row, only documents in the language of the column. The diagonal is mono, the rest cross.` },
    strong: { label: "strong: in the pool of all", what: (m) => m,
      says: (m) => `${m} in the pool of all languages, where only answers in the language of the column count; the other answers are taken out, the other documents stand in the way.` },
    gap: { label: "strong − weak", signed: true, what: (m) => `${m}, strong − weak`,
      says: (m) => `What happens to ${m} of a direction when the documents of all other languages join the pool.` },
    share: { label: "language share in the top 10", signed: true, what: () => "share in the top 10 − share of the pool",
      says: () => "How much of the first ten documents is in the language of the column, less that language’s share of the pool. Zero everywhere is a model without a preference." },
    consistency: { label: "consistency", what: () => "RankC@10",
      says: () => "RankC@10: how far the first ten documents agree when the same question is asked in two languages. 1 is the same list in the same order." },
  };

  // Values

  const scaled = (list) => list && list.map((value) => (value === null ? null : value / 1e4));
  const minus = (left, right) =>
    left && right && left.map((value, i) => (value === null || right[i] === null ? null : value - right[i]));

  function values(board, model, kind) {
    if (kind === "gap") return minus(scaled(model.strong), scaled(model.weak));
    if (kind === "share") {
      const pool = scaled(board.pool);
      return model.share && scaled(model.share).map((value, i) => (value === null ? null : value - pool[i % pool.length]));
    }
    return scaled(model[kind]);
  }

  function mean(list) {
    const there = list.filter((value) => value !== null);
    return there.length ? there.reduce((sum, value) => sum + value, 0) / there.length : null;
  }

  function number(value, digits = 3, signed = false) {
    if (value === null) return "–";
    const size = Math.abs(value).toFixed(digits).replace(/^0\./, ".");
    const sign = /[1-9]/.test(size) ? (value < 0 ? "−" : signed ? "+" : "") : "";
    return sign + size;
  }

  // Colours

  const parse = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  const css = (rgb) => `rgb(${rgb.join(",")})`;

  function between(stops, share) {
    const at = Math.min(Math.max(share, 0), 1) * (stops.length - 1);
    const low = Math.min(Math.floor(at), stops.length - 2);
    const [from, to] = [parse(stops[low]), parse(stops[low + 1])];
    return from.map((part, i) => Math.round(part + (to[i] - part) * (at - low)));
  }

  function colour(value, top, signed) {
    const theme = dark.matches ? "dark" : "light";
    if (signed) return between((value < 0 ? FALLING : RISING)[theme], Math.abs(value) / top);
    return between(dark.matches ? [...SEQUENTIAL].reverse() : SEQUENTIAL, value / top); // low is near the paper
  }

  function ink(rgb) { // black or white, whichever has more contrast (WCAG 2)
    const [r, g, b] = rgb.map((part) => (part / 255 <= 0.04045 ? part / 3294.6 : ((part / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000" : "#fff";
  }

  function top(...lists) { // one round end of the scale for all of them
    let most = 0;
    for (const list of lists) for (const value of list || []) most = Math.max(most, Math.abs(value));
    return [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9].find((end) => most <= end) || 1;
  }

  // Elements: data becomes text, never markup

  function make(tag, about = {}, ...inside) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(about)) made.setAttribute(name, value);
    made.append(...inside);
    return made;
  }

  // Tables

  const collator = new Intl.Collator("en", { numeric: true });

  function sorting(table) {
    const body = table.tBodies[0];
    const original = [...body.rows];
    for (const th of table.querySelectorAll("th[data-column]")) {
      const button = make("button", { type: "button" }, th.textContent);
      th.replaceChildren(button);
      button.addEventListener("click", () => {
        const first = th.dataset.first;
        const other = first === "ascending" ? "descending" : "ascending";
        const order = th.getAttribute("aria-sort") === first ? other : first;
        table.querySelector("[aria-sort]")?.removeAttribute("aria-sort");
        th.setAttribute("aria-sort", order);
        const key = (row) => row.cells[th.dataset.column].dataset.value;
        const text = th.classList.contains("name");
        const sign = order === "ascending" ? 1 : -1;
        const compare = (x, y) => {
          const [left, right] = [key(x), key(y)];
          if (left === undefined || right === undefined) return (left === undefined) - (right === undefined);
          return sign * (text ? collator.compare(left, right) : left - right);
        };
        body.append(...original.slice().sort(compare)); // stable: equal rows stay in the order of the board
      });
    }
  }

  function filtering(section) {
    const controls = section.querySelector(".controls");
    const [search, box, output] = ['[type="search"]', '[type="checkbox"]', "output"].map((one) => controls.querySelector(one));
    const rows = [...section.querySelectorAll(".ranking tbody tr")];
    const update = () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of rows) {
        const text = row.dataset.find.toLowerCase();
        row.hidden = (box && !box.checked && row.classList.contains("reported")) || !words.every((word) => text.includes(word));
        shown += !row.hidden;
      }
      output.textContent = shown === rows.length ? "" : shown ? `${shown} of ${rows.length} models` : "No model matches.";
    };
    controls.hidden = false;
    controls.addEventListener("input", update);
    update(); // a browser may restore what was typed before
  }

  // Matrices

  const tip = document.querySelector(".tip");
  let told = null;
  const state = { place: 0, a: 0, b: -1, kind: "weak" };
  let panels = [];

  function mark(i, j) {
    for (const panel of panels) panel.mark(i, j);
  }

  function hide() {
    tip.hidden = true;
    told = null;
    mark(-1, -1);
  }

  function show(panel, i, j) {
    mark(i, j);
    tip.textContent = panel.tell(i, j);
    tip.hidden = false;
    told = () => beside(panel.rectangle(i, j));
    told();
  }

  function beside(at) {
    const size = tip.getBoundingClientRect();
    const above = at.top - size.height - 8;
    tip.style.top = `${above > 4 ? above : at.bottom + 8}px`;
    tip.style.left = `${Math.max(8, Math.min(at.left + at.width / 2 - size.width / 2, document.documentElement.clientWidth - size.width - 8))}px`;
  }

  function moved(key, i, j, rows, columns) {
    const to = { ArrowUp: [i - 1, j], ArrowDown: [i + 1, j], ArrowLeft: [i, j - 1], ArrowRight: [i, j + 1],
      Home: [i, 0], End: [i, columns - 1], PageUp: [0, j], PageDown: [rows - 1, j] }[key];
    return to && [Math.min(Math.max(to[0], 0), rows - 1), Math.min(Math.max(to[1], 0), columns - 1)];
  }

  // A panel draws rows + 1 times columns + 1 cells: the last of each is the mean.
  function grid(list, rows, columns) {
    const line = (i) => list.slice(i * columns, (i + 1) * columns);
    return (i, j) => {
      if (i < rows && j < columns) return list[i * columns + j];
      if (i < rows) return mean(line(i));
      return mean(j < columns ? Array.from({ length: rows }, (_, row) => list[row * columns + j]) : list);
    };
  }

  function table(panel, rows, columns, labels) {
    const cells = [];
    const head = make("tr", {}, make("td"));
    const made = make("table", { class: "heat", role: "grid", "aria-label": labels.title }, make("thead", {}, head));
    const body = made.appendChild(make("tbody"));
    const across = [...columns, "mean"].map((tag) => head.appendChild(make("th", { scope: "col" }, tag)));
    const down = [...rows, "mean"].map((tag, i) => {
      const line = body.appendChild(make("tr", i === rows.length ? { class: "first" } : {}));
      const th = line.appendChild(make("th", { scope: "row" }, tag));
      cells.push(across.map((_, j) => {
        const value = panel.value(i, j);
        const td = line.appendChild(make("td", { tabindex: i + j ? -1 : 0, "aria-describedby": "_tip" }, number(value, panel.digits, panel.signed)));
        if (value === null) td.style.background = "var(--hole)";
        else {
          const rgb = colour(value, panel.top, panel.signed);
          td.style.background = css(rgb);
          td.style.color = ink(rgb);
        }
        td.classList.toggle("own", rows[i] === columns[j] && i < rows.length);
        td.classList.toggle("first", j === columns.length);
        return td;
      }));
      return th;
    });
    const find = (td) => {
      const i = cells.findIndex((line) => line.includes(td));
      return [i, i < 0 ? -1 : cells[i].indexOf(td)];
    };
    const enter = (event) => {
      const [i, j] = find(event.target.closest("td"));
      if (i < 0) return;
      if (event.type === "focusin") {
        made.querySelector('[tabindex="0"]').tabIndex = -1;
        cells[i][j].tabIndex = 0;
      }
      show(panel, i, j);
    };
    made.addEventListener("mouseover", enter);
    made.addEventListener("focusin", enter);
    made.addEventListener("mouseleave", hide);
    made.addEventListener("focusout", hide);
    made.addEventListener("keydown", (event) => {
      const [i, j] = find(event.target);
      const to = i < 0 ? null : moved(event.key, i, j, cells.length, across.length);
      if (!to) return;
      event.preventDefault();
      cells[to[0]][to[1]].focus();
    });
    let marked = [];
    panel.rectangle = (i, j) => cells[i][j].getBoundingClientRect();
    panel.mark = (i, j) => {
      for (const one of marked) one.classList.remove("here");
      marked = i < 0 ? [] : [cells[i][j], across[j], down[i]];
      for (const one of marked) one.classList.add("here");
    };
    return make("div", { class: "scroll" }, made);
  }

  function field(panel, rows, columns, labels) { // one pixel a cell, made large by CSS
    const cell = Math.max(10, Math.min(18, Math.floor(900 / Math.max(rows.length, columns.length))));
    const canvas = make("canvas", { width: columns.length + 2, height: rows.length + 2, tabindex: 0, role: "img",
      "aria-label": `${labels.title}; arrow keys read the cells`, "aria-describedby": "_tip" });
    canvas.style.width = `${(columns.length + 2) * cell}px`;
    canvas.style.height = `${(rows.length + 2) * cell}px`;
    const painter = canvas.getContext("2d");
    const hole = getComputedStyle(document.body).getPropertyValue("--hole");
    const gap = (at, length) => (at < length ? at : length + 1); // an empty line before the means
    for (let i = 0; i <= rows.length; i++) {
      for (let j = 0; j <= columns.length; j++) {
        const value = panel.value(i, j);
        painter.fillStyle = value === null ? hole : css(colour(value, panel.top, panel.signed));
        painter.fillRect(gap(j, columns.length), gap(i, rows.length), 1, 1);
      }
    }
    const outline = make("div", { class: "mark" });
    const spans = (tags) => [...tags, "", "mean"].map((tag) => make("span", {}, tag));
    const made = make("div", { class: "field" }, make("div", { class: "corner" }), make("div", { class: "across" }, ...spans(columns)),
      make("div", { class: "down" }, ...spans(rows)), make("div", { class: "cells" }, canvas, outline));
    made.style.setProperty("--cell", `${cell}px`);
    let here = [0, 0];
    panel.rectangle = (i, j) => {
      const at = canvas.getBoundingClientRect();
      return new DOMRect(at.left + gap(j, columns.length) * cell, at.top + gap(i, rows.length) * cell, cell, cell);
    };
    panel.mark = (i, j) => {
      outline.hidden = i < 0;
      outline.style.top = `${gap(i, rows.length) * cell}px`;
      outline.style.left = `${gap(j, columns.length) * cell}px`;
    };
    const point = (event) => {
      const [j, i] = [event.offsetX, event.offsetY].map((at) => Math.floor(at / cell));
      if (i === rows.length || j === columns.length || i < 0 || j < 0 || i > rows.length + 1 || j > columns.length + 1) return hide();
      here = [Math.min(i, rows.length), Math.min(j, columns.length)];
      return show(panel, ...here);
    };
    canvas.addEventListener("pointermove", point);
    canvas.addEventListener("click", point);
    canvas.addEventListener("mouseleave", hide);
    canvas.addEventListener("blur", hide);
    canvas.addEventListener("focus", () => canvas.matches(":focus-visible") && show(panel, ...here));
    canvas.addEventListener("keydown", (event) => {
      const to = moved(event.key, ...here, rows.length + 1, columns.length + 1);
      if (!to) return;
      event.preventDefault();
      here = to;
      mark(...here);
      outline.scrollIntoView({ block: "nearest", inline: "nearest" });
      show(panel, ...here);
    });
    return made;
  }

  function draw() {
    hide();
    const board = data.boards[state.place];
    const slot = sections[state.place].querySelector(".matrix");
    const [a, b] = [board.models[state.a], board.models[state.b]];
    const { what, says, signed = false } = KINDS[state.kind];
    const label = what(board.measure);
    const [rows, columns] = [board.asked, state.kind === "consistency" ? board.asked : board.searched];
    const lists = [a, b].map((model) => model && values(board, model, state.kind));
    const end = top(...lists);
    const difference = minus(...lists);
    const pool = scaled(board.pool);
    const [at, other] = lists.map((list) => list && grid(list, rows.length, columns.length));

    const tell = (own, role) => (i, j) => {
      const [q, d] = [rows[i], columns[j]];
      const arrow = state.kind === "consistency" ? "↔" : "→";
      const path = (read) => `${q === undefined ? "mean" : read(q)} ${arrow} ${d === undefined ? "mean" : read(d)}`;
      const parts = [`${path(String)} (${path((tag) => names.get(tag))})`];
      const plain = q !== undefined && d !== undefined;
      if (role === "difference") {
        parts.push(`${label}: A ${number(at(i, j), 3, signed)}, B ${number(other(i, j), 3, signed)}, A − B ${number(own(i, j), 3, true)}`);
      } else if (state.kind === "share" && plain && own(i, j) !== null) {
        parts.push(`share of the top 10 ${number(own(i, j) + pool[j])}, of the pool ${number(pool[j])} (${number(own(i, j), 3, true)})`);
      } else parts.push(`${label} ${number(own(i, j), 3, signed)}`);
      const counts = state.kind === "consistency" ? board.pairs : board.n;
      const n = Array.isArray(counts) ? counts[i * columns.length + j] : counts;
      if (plain && n && own(i, j) !== null) parts.push(`n ${n.toLocaleString("en")}`);
      const against = role === "a" ? other : role === "b" ? at : null;
      if (against && against(i, j) !== null && own(i, j) !== null) {
        parts.push(`other model ${number(against(i, j), 3, signed)} (${number(own(i, j) - against(i, j), 3, true)})`);
      }
      return parts.join(" · ");
    };

    const plans = [[a, lists[0], "a", end, signed], [b, lists[1], "b", end, signed], [null, difference, "difference", top(difference), true]];
    panels = [];
    const drawn = plans.slice(0, b ? 3 : 1).map(([model, list, role, most, diverging]) => {
      const title = model ? make("b", {}, ...(b ? [`${role.toUpperCase()}: `] : []), make("bdi", {}, model.name)) : make("b", {}, "A − B");
      if (!list) return make("figure", { class: "panel" }, make("figcaption", {}, title), make("p", {}, "No values: this needs a setting that was not run, or another language."));
      const value = grid(list, rows.length, columns.length);
      const panel = { value, top: most, signed: diverging, digits: b ? 2 : 3, tell: tell(value, role) };
      panels.push(panel);
      const strip = make("i");
      const stops = Array.from({ length: 21 }, (_, i) => css(colour(diverging ? (i / 10 - 1) * most : (i / 20) * most, most, diverging)));
      strip.style.background = `linear-gradient(to right, ${stops.join(",")})`;
      const round = (value) => number(value, most < 0.1 ? 2 : 1, true);
      const legend = make("span", { class: "legend" }, diverging ? round(-most) : "0", strip, diverging ? round(most) : round(most).slice(1));
      const heat = Math.max(rows.length, columns.length) > TEXT_LIMIT ? field : table;
      const name = `${title.textContent}: ${label}`;
      return make("figure", { class: "panel" }, make("figcaption", {}, title, legend), heat(panel, rows, columns, { title: name }));
    });
    slot.querySelector(".says").textContent = says(board.measure);
    const box = slot.querySelector(".panels");
    box.classList.toggle("three", Boolean(b));
    box.replaceChildren(...drawn);
    hide();
  }

  // The view, and its address: #task&a=model&b=model&kind=…, defaults left out

  function address() {
    const { slug, models } = data.boards[state.place];
    const parts = [encodeURIComponent(slug)];
    if (state.a > 0) parts.push(`a=${encodeURIComponent(models[state.a].name)}`);
    if (state.b >= 0) parts.push(`b=${encodeURIComponent(models[state.b].name)}`);
    if (state.kind !== "weak") parts.push(`kind=${state.kind}`);
    history.replaceState(null, "", `#${parts.join("&")}`);
  }

  function change(event) {
    const { name, value } = event.target;
    state[name] = name === "kind" ? value : Number(value);
    address();
    draw();
  }

  function view(place, wanted) {
    const { models } = data.boards[place];
    const find = (name) => models.findIndex((model) => model.name === name);
    state.place = place;
    state.a = Math.max(0, find(wanted.a));
    state.b = find(wanted.b);
    state.kind = Object.hasOwn(KINDS, wanted.kind || "") ? wanted.kind : "weak";
    sections.forEach((section, i) => { section.hidden = i !== place; });
    document.querySelectorAll("nav a").forEach((link, i) => {
      if (i === place) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    });
    const slot = sections[place].querySelector(".matrix");
    if (!models.length) return slot.replaceChildren("No model was run here.");
    if (!slot.querySelector("select")) {
      slot.replaceChildren(document.querySelector("template").content.cloneNode(true));
      const [a, b, kind] = slot.querySelectorAll("select");
      const options = () => models.map((model, i) => make("option", { value: i }, model.name));
      a.append(...options());
      b.append(make("option", { value: -1 }, "none"), ...options());
      kind.append(...Object.entries(KINDS).map(([name, about]) => make("option", { value: name }, about.label)));
      slot.addEventListener("change", change);
    }
    for (const select of slot.querySelectorAll("select")) select.value = state[select.name];
    return draw();
  }

  function read(part) {
    try { return decodeURIComponent(part); } catch { return ""; }
  }

  function restore(event) {
    const [slug, ...rest] = location.hash.slice(1).split("&").map(read);
    const linked = slug && document.getElementById(slug)?.closest("details.run");
    const place = linked ? sections.indexOf(linked.closest("section")) : data.boards.findIndex((board) => board.slug === slug);
    const { models } = data.boards[state.place];
    const kept = { a: models[state.a]?.name, b: models[state.b]?.name, kind: state.kind };
    const wanted = new Map(rest.map((part) => [part.slice(0, part.indexOf("=")), part.slice(part.indexOf("=") + 1)]));
    const keep = event && !rest.length; // a tab keeps the models and what is shown
    view(place >= 0 ? place : slug ? state.place : 0, keep ? kept : { a: wanted.get("a"), b: wanted.get("b"), kind: wanted.get("kind") });
    if (linked) {
      linked.open = true;
      linked.scrollIntoView();
    } else if (keep && place >= 0) address();
  }

  // Start

  document.documentElement.classList.add("live");
  document.querySelectorAll(".ranking").forEach(sorting);
  sections.forEach(filtering);
  for (const button of document.querySelectorAll(".copy")) {
    const code = button.parentElement.querySelector("code");
    button.hidden = false;
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = "Copied";
      } catch { // no permission, or a browser that has no clipboard for files: let the person copy
        getSelection().selectAllChildren(code);
        button.textContent = "Selected";
      }
    });
  }
  const wide = new ResizeObserver((changes) => { // a heading can only stay in view where nothing scrolls sideways
    for (const { target } of changes) {
      const fits = target.classList.toggle("fits", target.firstElementChild.offsetWidth <= target.clientWidth);
      target.tabIndex = fits ? -1 : 0;
    }
  });
  document.querySelectorAll(".wide").forEach((box) => wide.observe(box));
  addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  addEventListener("scroll", () => told?.(), { passive: true, capture: true });
  dark.addEventListener("change", draw);
  if (sections.length) {
    addEventListener("hashchange", restore);
    restore();
  }
})();
