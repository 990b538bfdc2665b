"use strict";
// Opens a picture over the source: slider, zoom, keys. Everything that is shown is in the page.
(() => {
  const byId = (id) => document.getElementById(id);
  const viewer = byId("viewer"), stage = byId("stage"), split = byId("split");
  const before = byId("before"), after = byId("after"), source = byId("source");
  const figures = [...document.querySelectorAll("figure")];
  const full = { width: source.width, height: source.height };
  const LARGEST = 16, CLOSE_PX = 24;
  let at = 0, pinned = null, view = { scale: 0, x: 0, y: 0 }, drag = null;
  const touches = new Map();

  for (const attribute of ["width", "height"]) full[attribute] = Number(source.getAttribute(attribute));

  const fitting = () => Math.min(stage.clientWidth / full.width, stage.clientHeight / full.height);

  function fit() { view = { scale: 0, x: 0, y: 0 }; paint(); }

  // scale 0 stands for "as large as the stage allows", whatever the window becomes
  function paint() {
    const scale = view.scale || fitting();
    const spare = { x: stage.clientWidth - full.width * scale, y: stage.clientHeight - full.height * scale };
    for (const axis of ["x", "y"]) {
      view[axis] = spare[axis] >= 0 ? spare[axis] / 2 : Math.min(0, Math.max(spare[axis], view[axis]));
    }
    for (const image of [before, after]) {
      image.style.width = full.width + "px";
      image.style.height = full.height + "px";
      image.style.transform = `translate(${view.x}px, ${view.y}px) scale(${scale})`;
    }
    const shown = source.naturalWidth;
    stage.classList.toggle("sharp", scale >= 3 && shown >= full.width);
    byId("reduced").hidden = shown >= full.width;
    byId("reduced").textContent = `This page holds the pictures ${shown} px wide; the files, ${full.width} px wide, have every pixel.`;
    stage.classList.toggle("pans", spare.x < -1 || spare.y < -1);
    byId("zoom").textContent = Math.round(scale * 100) + "%";
    byId("fit").setAttribute("aria-pressed", String(!view.scale));
    const left = Math.max(0, view.x), right = Math.min(stage.clientWidth, view.x + full.width * scale);
    const place = left + (right - left) * split.value / 100;
    stage.style.setProperty("--split", place + "px");
  }

  function zoom(factor, x = stage.clientWidth / 2, y = stage.clientHeight / 2) {
    const old = view.scale || fitting();
    const scale = Math.min(LARGEST, Math.max(fitting(), old * factor));
    view.x = x - (x - view.x) * scale / old;
    view.y = y - (y - view.y) * scale / old;
    view.scale = scale <= fitting() * 1.001 ? 0 : scale;
    paint();
  }

  function divide(clientX) {
    const scale = view.scale || fitting(), box = stage.getBoundingClientRect();
    const left = Math.max(0, view.x), right = Math.min(box.width, view.x + full.width * scale);
    split.value = 100 * (clientX - box.left - left) / (right - left);
    paint();
  }

  function show(number) {
    at = number;
    const figure = figures[at], image = figure.querySelector("img");
    const compared = pinned === null ? source : figures[pinned].querySelector("img");
    after.src = image.src;
    after.alt = image.alt;
    before.src = compared.src;
    before.alt = compared.alt;
    byId("before-tag").textContent = pinned === null ? "source" : compared.alt;
    byId("after-tag").textContent = image.alt;
    byId("caption").textContent = byId("caption").title = image.alt || "the picture";
    byId("facts").replaceChildren(figure.querySelector("template").content.cloneNode(true));
    byId("copied").textContent = "";
    byId("pin").setAttribute("aria-pressed", String(pinned !== null));
    history.replaceState(null, "", "#" + encodeURIComponent(figure.id));
    paint();
  }

  function open(number) {
    if (!viewer.open) viewer.showModal();
    view = { scale: 0, x: 0, y: 0 };
    show(number);
    stage.focus();
  }

  // the picture beside, in the order of the grid; at an edge it stays
  function move(columns, rows) {
    const { row, column, page } = figures[at].dataset;
    const there = figures.findIndex((one) => one.dataset.page === page
      && Number(one.dataset.row) === Number(row) + rows
      && Number(one.dataset.column) === Number(column) + columns);
    if (there >= 0) show(there);
    return there >= 0;
  }

  function step(by) { show((at + by + figures.length) % figures.length); }

  function toggle(id, name) {
    const on = stage.classList.toggle(name);
    byId(id).setAttribute("aria-pressed", String(on));
  }

  function pin() { pinned = pinned === null ? at : null; show(at); }

  async function copy() {
    const pre = byId("facts").querySelector(".command");
    let done = true;
    try {
      await navigator.clipboard.writeText(pre.textContent);
    } catch {  // no clipboard for files in this browser: select the text, and copy as people did before
      const range = document.createRange();
      range.selectNodeContents(pre);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      done = document.execCommand("copy");
    }
    byId("copied").textContent = done ? "copied" : "selected; press Ctrl+C";
  }

  const KEYS = {
    ArrowLeft: () => move(-1, 0) || step(-1), ArrowRight: () => move(1, 0) || step(1),
    ArrowUp: () => move(0, -1), ArrowDown: () => move(0, 1),
    "[": () => { split.value = Number(split.value) - 5; paint(); },
    "]": () => { split.value = Number(split.value) + 5; paint(); },
    "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(0.8), 0: fit,
    " ": () => stage.classList.add("alone"),
    d: () => toggle("difference", "differs"), p: pin, c: copy,
  };

  viewer.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const own = event.target.closest("button, input, a, summary");
    if (own && (event.key === " " || (own === split && event.key.startsWith("Arrow")))) return;
    const act = KEYS[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
  viewer.addEventListener("keyup", (event) => {
    if (event.key === " ") stage.classList.remove("alone");
  });
  viewer.addEventListener("close", () => {
    stage.classList.remove("alone");
    history.replaceState(null, "", location.pathname + location.search);
    figures[at].querySelector("button").focus();
  });

  stage.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    stage.setPointerCapture(event.pointerId);
    touches.set(event.pointerId, event);
    const box = stage.getBoundingClientRect();
    const divider = parseFloat(stage.style.getPropertyValue("--split"));
    const near = Math.abs(event.clientX - box.left - divider) < CLOSE_PX;
    drag = stage.classList.contains("pans") && !near ? "pan" : "divide";
    if (drag === "divide") divide(event.clientX);
  });
  stage.addEventListener("pointermove", (event) => {
    const last = touches.get(event.pointerId);
    if (!last) return;
    if (touches.size === 2) {
      const [other] = [...touches.values()].filter((one) => one.pointerId !== event.pointerId);
      const box = stage.getBoundingClientRect();
      const apart = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY) || 1;
      zoom(apart(event) / apart(last), (event.clientX + other.clientX) / 2 - box.left,
        (event.clientY + other.clientY) / 2 - box.top);
    } else if (drag === "pan") {
      view.x += event.clientX - last.clientX;
      view.y += event.clientY - last.clientY;
      paint();
    } else {
      divide(event.clientX);
    }
    touches.set(event.pointerId, event);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    stage.addEventListener(end, (event) => touches.delete(event.pointerId));
  }
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    const box = stage.getBoundingClientRect();
    zoom(Math.exp(-event.deltaY / 400), event.clientX - box.left, event.clientY - box.top);
  }, { passive: false });
  stage.addEventListener("dblclick", (event) => {
    const box = stage.getBoundingClientRect();
    if (view.scale) fit();
    else zoom(Math.max(2, 1 / fitting()), event.clientX - box.left, event.clientY - box.top);
  });

  figures.forEach((figure, number) => {
    figure.querySelector("button").addEventListener("click", () => open(number));
  });
  document.querySelector("main").addEventListener("keydown", (event) => {
    const figure = event.target.closest("figure");
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!figure || !by) return;
    const { row, column, page } = figure.dataset;
    const there = figures.find((one) => one.dataset.page === page
      && Number(one.dataset.row) === Number(row) + by[1]
      && Number(one.dataset.column) === Number(column) + by[0]);
    if (!there) return;
    event.preventDefault();
    there.querySelector("button").focus();
  });
  split.addEventListener("input", paint);
  byId("close").addEventListener("click", () => viewer.close());
  byId("previous").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));
  byId("larger").addEventListener("click", () => zoom(1.25));
  byId("smaller").addEventListener("click", () => zoom(0.8));
  byId("fit").addEventListener("click", fit);
  byId("difference").addEventListener("click", () => toggle("difference", "differs"));
  byId("pin").addEventListener("click", pin);
  byId("copy").addEventListener("click", copy);
  addEventListener("resize", () => { if (viewer.open) paint(); });

  const wanted = decodeURIComponent(location.hash.slice(1));
  const first = figures.findIndex((one) => one.id === wanted);
  if (first >= 0) open(first);
})();
