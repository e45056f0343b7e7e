"use strict";
/* The page: its theme, its boards, the models to try, and one task at a time, named in the address. */
const root = document.documentElement;
root.classList.add("js");
const numbers = JSON.parse(document.getElementById("numbers").textContent);
const narrow = matchMedia("(max-width: 48rem)");
const all = (selector, from = document) => [...from.querySelectorAll(selector)];

// Theme: the system's unless somebody chooses. A page from a file may have no storage.
const themes = ["auto", "light", "dark"];
const button = document.getElementById("theme");
const stored = () => { try { return localStorage.getItem("arbench-theme"); } catch { return null; } };
const store = (name) => { try { localStorage.setItem("arbench-theme", name); } catch { /* for this visit only */ } };
let theme = themes.includes(stored()) ? stored() : "auto";
const showTheme = () => {
  if (theme === "auto") delete root.dataset.theme;
  else root.dataset.theme = theme;
  button.textContent = `Theme: ${theme}`;
};
button.hidden = false;
button.addEventListener("click", () => {
  theme = themes[(themes.indexOf(theme) + 1) % themes.length];
  store(theme);
  showTheme();
});
showTheme();

const boards = all(".board");
for (const board of boards) {
  setUpPlots(board);
  setUpTable(board)();
}
all(".piece").forEach(setUpPiece);
let width = window.innerWidth;
window.addEventListener("resize", () => {
  if (window.innerWidth === width) return; // a phone's bar came or went
  width = window.innerWidth;
  boards.forEach(drawBoard);
});

// Models that can be tried: their weights are read when somebody comes to them.
const setUps = { drawing: (data) => setUpDrawing(data), naming: (data) => setUpNaming(data) };
let triable = true;
function tryModels() {
  if (!triable) return;
  triable = false;
  const data = JSON.parse(document.getElementById("live-data").textContent);
  for (const [name, own] of Object.entries(data)) setUps[name](own);
}

// One task at a time, named in the address.
const choose = document.getElementById("choose");
const sections = all(".task");
function route(focus) {
  const wanted = decodeURIComponent(location.hash.slice(1));
  if (wanted === "main") return;
  const target = document.getElementById(wanted);
  const task = target?.closest(".task");
  const shown = task ?? document.getElementById("overview");
  [...sections, document.getElementById("overview")].forEach((section) => section.classList.toggle("shown", section === shown));
  choose.value = task ? task.id : "";
  for (let each = target; each && each !== task; each = each.parentElement) if (each.tagName === "DETAILS") each.open = true;
  for (const link of all("nav a")) {
    if (link.getAttribute("href") === `#${task ? task.id : ""}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = task ? `${task.id === "live" ? "Try it" : task.id} · arbench leaderboards` : "arbench leaderboards";
  all(".board", shown).forEach(drawBoard);
  if (shown.id === "live") tryModels();
  if (target && target !== task) target.scrollIntoView();
  if (focus && target && target !== task) target.querySelector("summary").focus({ preventScroll: true });
  else if (focus) {
    window.scrollTo(0, 0);
    shown.querySelector("h1, h2").focus({ preventScroll: true });
  }
}
choose.addEventListener("change", () => { location.hash = choose.value; });
window.addEventListener("hashchange", () => route(true));
route(false);
