// Runs the script of a sweep's page, named as the argument, in a document just large enough for it,
// and presses its keys. It says nothing about looks; a browser does.
import { readFileSync } from "node:fs";
const script = readFileSync(process.argv[2], "utf8");
class El {
  constructor(tag, attrs = {}) { this.tag = tag; this.attrs = attrs; this.style = { props: {}, setProperty(k, v) { this.props[k] = v; }, getPropertyValue(k) { return this.props[k] ?? ""; } };
    this.set = new Set(); this.on = {}; this.dataset = {}; this.kids = {}; this.open = false; this.value = attrs.value ?? ""; this.clientWidth = 800; this.clientHeight = 600; this.textContent = ""; }
  get classList() { const s = this.set; return { add: (n) => s.add(n), remove: (n) => s.delete(n), contains: (n) => s.has(n), toggle: (n, f) => { const on = f ?? !s.has(n); on ? s.add(n) : s.delete(n); return on; } }; }
  getAttribute(n) { return this.attrs[n]; } setAttribute(n, v) { this.attrs[n] = v; }
  addEventListener(n, f) { (this.on[n] ??= []).push(f); }
  fire(n, e = {}) { for (const f of this.on[n] ?? []) f({ preventDefault() { this.prevented = true; }, target: this, button: 0, ...e }); }
  querySelector(q) { return this.kids[q]; } closest() { return this.closestValue ?? null; }
  showModal() { this.open = true; } close() { this.open = false; this.fire("close"); } focus() { this.focused = true; El.focused = this; }
  getBoundingClientRect() { return { left: 0, top: 0, width: 800, height: 600 }; } setPointerCapture() {}
  replaceChildren(x) { this.child = x; }
}
const els = {}; for (const id of ["viewer","stage","split","before","after","source","facts","copied","caption","zoom","difference","pin","copy","close","previous","next","larger","smaller","fit","before-tag","after-tag"]) els[id] = new El(id);
els.source.attrs = { width: "400", height: "300" }; els.source.src = "S"; els.source.alt = "source"; els.split.value = 50;
const figs = []; for (let r = 0; r < 2; r++) for (let c = 0; c < 3; c++) { const f = new El("figure"); f.id = `f${r}${c}`; f.dataset = { row: String(r), column: String(c), page: "0" };
  const img = new El("img"); img.src = f.id; img.alt = "alt" + f.id; const t = new El("template"); t.content = { cloneNode: () => "facts" + f.id }; f.kids = { img, template: t, button: new El("button") }; figs.push(f); }
const main = new El("main");
els.facts.kids = { ".command": { textContent: "cmd" } };
let hash = "#" + encodeURIComponent("f01"); let copied = null;
globalThis.document = { getElementById: (id) => els[id], querySelectorAll: () => figs, querySelector: () => main, createRange: () => ({ selectNodeContents() {} }), execCommand: () => true };
globalThis.location = { hash, pathname: "/", search: "" }; globalThis.history = { replaceState(_, __, u) { globalThis.url = u; } };
globalThis.addEventListener = () => {}; globalThis.getSelection = () => ({ removeAllRanges() {}, addRange() {} });
Object.defineProperty(globalThis, "navigator", { value: { clipboard: { writeText: async (t) => { copied = t; } } }, configurable: true });
const ok = (c, m) => { if (!c) { console.error("FAIL", m); process.exitCode = 1; } };
new Function(script)();
ok(els.viewer.open, "opened by hash"); ok(els.after.src === "f01", "after " + els.after.src); ok(els.before.src === "S", "before");
ok(els.stage.style.props["--split"] === "400px", "split " + els.stage.style.props["--split"]);
const key = (k) => els.viewer.fire("keydown", { key: k, target: els.stage });
key("ArrowRight"); ok(els.after.src === "f02", "right"); key("ArrowRight"); ok(els.after.src === "f10", "wraps to next row " + els.after.src);
key("ArrowUp"); ok(els.after.src === "f00", "up " + els.after.src); key("ArrowUp"); ok(els.after.src === "f00", "stays");
key("]"); ok(els.split.value === 55, "]"); key("+"); ok(els.zoom.textContent === "250%", els.zoom.textContent); ok(els.stage.set.has("pans"), "pans");
els.stage.fire("pointerdown", { clientX: 700, clientY: 300, pointerId: 1 }); els.stage.fire("pointermove", { clientX: 600, clientY: 300, pointerId: 1 }); els.stage.fire("pointerup", { pointerId: 1 });
ok(/translate\(-200px/.test(els.after.style.transform), els.after.style.transform);
key("0"); ok(els.zoom.textContent === "fit", "fit"); els.stage.fire("pointerdown", { clientX: 200, clientY: 300, pointerId: 1 }); ok(Math.abs(els.split.value - 25) < 1e-9, "divide " + els.split.value); els.stage.fire("pointerup", { pointerId: 1 });
key("d"); ok(els.stage.set.has("differs") && els.difference.attrs["aria-pressed"] === "true", "d"); key("d");
key("p"); key("ArrowRight"); ok(els.before.src === "f00" && els.after.src === "f01", "pin"); key("p"); ok(els.before.src === "S", "unpin");
key(" "); ok(els.stage.set.has("alone"), "alone"); els.viewer.fire("keyup", { key: " " }); ok(!els.stage.set.has("alone"), "not alone");
els.stage.fire("wheel", { deltaY: -400, clientX: 10, clientY: 10 }); ok(els.zoom.textContent !== "fit", "wheel"); els.stage.fire("dblclick", { clientX: 1, clientY: 1 }); ok(els.zoom.textContent === "fit", "dbl");
els.stage.fire("pointerdown", { clientX: 300, clientY: 300, pointerId: 1 }); els.stage.fire("pointerdown", { clientX: 500, clientY: 300, pointerId: 2 }); els.stage.fire("pointermove", { clientX: 700, clientY: 300, pointerId: 2 }); ok(els.zoom.textContent === "400%", "pinch " + els.zoom.textContent);
key("c"); await new Promise((r) => setTimeout(r, 5)); ok(copied === "cmd" && els.copied.textContent === "copied", "copy");
for (const b of ["previous","next","larger","smaller","fit","difference","pin","copy"]) els[b].fire("click");
els.close.fire("click"); ok(!els.viewer.open && El.focused.tag === "button", "closed"); figs[4].kids.button.fire("click"); ok(els.viewer.open && els.after.src === "f11", "click"); ok(globalThis.url === "#f11", globalThis.url);
console.log("ran");
