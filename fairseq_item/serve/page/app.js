// The search page: what is asked for stands in the address (but for photos), so that every search
// can be gone back to, opened in another tab and sent to others.

const $ = (id) => document.getElementById(id);
const NAMES = { global: "Global", title: "Title", image: "Image", lexical: "Lexical" };
const HELP = {
  global: "the product as a whole", title: "the meaning of the title",
  image: "the look of the photo", lexical: "words that both titles have",
};
const SHOWN = 24;

let service = null; // what /api/index says
let photo = null; // a Blob
let running = null; // AbortController of the search under way
const photos = new Map(); // number in the history -> Blob
let token = sessionStorage.getItem("token");

// --- asking the service

async function ask(path, options = {}) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const answer = await fetch(path, { ...options, headers });
  if (answer.ok) return answer;
  if (answer.status === 401) unlock();
  const told = await answer.json().catch(() => ({}));
  throw new Error(told.error || `The service answers ${answer.status}.`);
}

async function showImage(img, address) {
  img.closest(".frame, #asked").classList.toggle("empty", !address);
  img.hidden = !address;
  if (!address) return;
  if (!token) { img.src = address; return; }
  // An <img> sends no token.
  const blob = await ask(address).then((answer) => answer.blob()).catch(() => null);
  if (blob) showBlob(img, blob);
}

function showBlob(img, blob) {
  img.src = URL.createObjectURL(blob);
  img.addEventListener("load", () => URL.revokeObjectURL(img.src), { once: true });
}

function unlock() {
  $("unlock").hidden = false;
  $("token").focus();
}

// --- what is asked for: {title, item, photo, where: {column: value}, weights: [..] or null}

function fromAddress() {
  const given = new URLSearchParams(location.search);
  const where = {};
  for (const condition of given.getAll("where")) {
    const at = condition.indexOf("=");
    if (at > 0) where[condition.slice(0, at)] = condition.slice(at + 1);
  }
  const weights = given.get("weights")?.split(",").map(Number);
  return {
    title: given.get("title") || "", item: given.get("item"), where,
    weights: weights?.length === 4 && weights.every(Number.isFinite) ? weights : null,
    photo: photos.get(history.state?.photo) || null,
  };
}

function parameters(asked) {
  const given = new URLSearchParams();
  if (asked.item) given.set("item", asked.item);
  else if (asked.title) given.set("title", asked.title);
  for (const [column, value] of Object.entries(asked.where)) given.append("where", `${column}=${value}`);
  if (asked.weights) given.set("weights", asked.weights.join(","));
  return given;
}

function asked() {
  const now = fromAddress();
  const where = {};
  for (const choice of $("filters").querySelectorAll("select"))
    if (choice.value) where[choice.name] = choice.value;
  return { ...now, title: $("title").value.trim(), photo, where, weights: weights() };
}

function goTo(next, replace = false) {
  const text = parameters(next).toString();
  let number = null;
  if (next.photo) {
    number = [...photos].find(([, blob]) => blob === next.photo)?.[0] ?? photos.size + 1;
    photos.set(number, next.photo);
  }
  const address = text ? `?${text}` : location.pathname;
  history[replace ? "replaceState" : "pushState"]({ photo: number }, "", address);
  show();
}

// --- the answers

async function show() {
  const now = fromAddress();
  photo = now.photo;
  $("title").value = now.item ? "" : now.title;
  setWeights(now.weights);
  for (const choice of $("filters").querySelectorAll("select")) choice.value = now.where[choice.name] || "";
  running?.abort();
  running = new AbortController();
  const mine = running;
  $("error").hidden = true;
  $("answers").setAttribute("aria-busy", "true");
  $("status").textContent = "Searching…";
  try {
    await showAsked(now);
    const found = await find(now, mine.signal);
    if (mine === running) list(found, now);
  } catch (error) {
    if (mine !== running || error.name === "AbortError") return;
    $("error").textContent = error.message;
    $("error").hidden = false;
    $("status").textContent = "";
    $("answers").replaceChildren();
  } finally {
    if (mine === running) $("answers").removeAttribute("aria-busy");
  }
}

async function find(now, signal) {
  const given = parameters(now);
  given.set("k", SHOWN);
  if (now.photo && !now.item) {
    const form = new FormData();
    for (const [name, value] of given) form.append(name, value);
    form.append("image", now.photo, "photo");
    return (await ask("api/search", { method: "POST", body: form, signal })).json();
  }
  if (now.title || now.item) return (await ask(`api/search?${given}`, { signal })).json();
  given.delete("weights");
  given.delete("k");
  given.set("count", SHOWN);
  return (await ask(`api/items?${given}`, { signal })).json();
}

async function showAsked(now) {
  const item = now.item && (await (await ask(`api/items/${encodeURIComponent(now.item)}`)).json());
  $("asked").hidden = !item && !now.photo;
  if (item) {
    $("asked-kind").textContent = "More like";
    $("asked-name").textContent = item.title || item.id;
    showImage($("asked-image"), item.image);
  } else if (now.photo) {
    $("asked-kind").textContent = now.title ? "Your photo and the title" : "Your photo";
    $("asked-name").textContent = "";
    $("asked-image").hidden = false;
    showBlob($("asked-image"), now.photo);
  }
}

function list(found, now) {
  const searched = Boolean(found.answers);
  const answers = found.answers || found.items;
  // Lexical similarities have no upper end: full bars are for the query's best.
  const most = Math.max(1e-9, ...answers.map((answer) => answer.similarities?.lexical ?? 0));
  $("answers").replaceChildren(...answers.map((answer) => card(answer, found, most, now)));
  $("heading").textContent = searched ? "Most alike" : "Some of the products";
  const count = answers.length === 1 ? "1 product" : `${answers.length} products`;
  $("status").textContent = !answers.length
    ? "Nothing fits. Remove a filter, or ask in another way."
    : searched ? `${count} in ${Math.round(found.milliseconds)} ms` : `${count} to begin with`;
}

function card(answer, found, most, now) {
  const made = $("card").content.cloneNode(true);
  const find = (name) => made.querySelector(`.${name}`);
  const link = find("open");
  link.href = `?${parameters({ ...now, item: answer.id })}`;
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    goTo({ ...asked(), item: answer.id, photo: null });
    scrollTo({ top: 0 });
  });
  find("name").textContent = answer.title || answer.id;
  find("rank").textContent = answer.rank ?? "";
  showImage(made.querySelector("img"), answer.image);
  find("fields").textContent = Object.entries(answer.fields)
    .filter(([column, value]) => value && column in service.choices).map(([, value]) => value).join(" · ");
  if (answer.similarities) {
    const score = document.createElement("b");
    score.textContent = found.probabilities ? percent(answer.score) : answer.score.toFixed(2);
    const what = document.createElement("span");
    what.textContent = found.probabilities ? " likely the same" : " score";
    find("score").append(score, what);
    const shares = proportions(found.weights);
    for (const name of service.similarities)
      find("bars").append(bar(name, answer, shares[name], name === "lexical" ? most : 1));
  }
  return made;
}

function bar(name, answer, weight, longest) {
  const value = answer.similarities[name];
  const row = document.createElement("div");
  const won = answer.decided_by.includes(name);
  row.className = `of-${name}${won ? " won" : ""}${weight ? "" : " unused"}`;
  const cell = (tag, kind, text) => {
    const made = document.createElement(tag);
    made.className = kind;
    made.textContent = text;
    row.append(made);
    return made;
  };
  cell("dt", "label", NAMES[name]);
  const track = cell("dd", "track", "");
  track.setAttribute("aria-hidden", "true");
  const filled = document.createElement("i");
  filled.style.width = `${100 * Math.min(1, Math.max(0, (value ?? 0) / longest))}%`;
  track.append(filled);
  const shown = value === null ? "–" : name === "lexical" ? value.toFixed(1) : value.toFixed(2);
  cell("dd", "value", shown);
  cell("dd", "weight", `×${short(weight)}`).title = "weight";
  return row;
}

// --- weights: sliders from 0 to 1; the search depends on their proportions only

const weightValues = () => [...$("sliders").querySelectorAll("input")].map((slider) => Number(slider.value));
const percent = (share) => `${(100 * share).toFixed(share > 0.995 || share < 0.095 ? 1 : 0)} %`;
const short = (value) => value.toFixed(2).replace(/\.?0+$/, "");

function proportions(weights) {
  const most = Math.max(...Object.values(weights));
  const share = ([name, weight]) => [name, Number((weight / most).toFixed(2))];
  return Object.fromEntries(Object.entries(weights).map(share));
}

const own = () => Object.values(proportions(service.weights));

function weights() {
  const values = weightValues();
  return values.every((value, i) => value === own()[i]) ? null : values;
}

function setWeights(values) {
  const sliders = $("sliders").querySelectorAll("input");
  (values || own()).forEach((value, i) => { sliders[i].value = value; });
  told();
}

function told() {
  for (const slider of $("sliders").querySelectorAll("input")) slider.previousElementSibling.value = short(Number(slider.value));
  $("reset").disabled = weights() === null;
}

function addSliders() {
  for (const name of Object.keys(NAMES)) {
    const row = document.createElement("label");
    row.className = `slider of-${name}`;
    row.title = HELP[name];
    const text = document.createElement("span");
    text.textContent = NAMES[name];
    const slider = document.createElement("input");
    Object.assign(slider, { type: "range", min: 0, max: 1, step: 0.01, name });
    slider.disabled = !service.similarities.includes(name);
    slider.setAttribute("aria-label", `Weight of the ${name} similarity: ${HELP[name]}`);
    const output = document.createElement("output");
    row.append(text, output, slider);
    $("sliders").append(row);
  }
}

function addFilters() {
  const columns = Object.entries(service.choices);
  $("filters").hidden = !columns.length;
  for (const [column, values] of columns) {
    const label = document.createElement("label");
    label.textContent = column.replaceAll("_", " ");
    const choice = document.createElement("select");
    choice.name = column;
    choice.add(new Option("all", ""));
    for (const [value, count] of Object.entries(values)) choice.add(new Option(`${value} (${count})`, value));
    label.append(choice);
    $("filters").append(label);
  }
}

// --- what people do

function takePhoto(file) {
  if (!file?.type.startsWith("image/")) {
    $("error").textContent = "That is not an image.";
    $("error").hidden = false;
    return;
  }
  goTo({ ...asked(), item: null, photo: file });
}

function move(event) {
  const links = [...$("answers").querySelectorAll(".open")];
  const at = links.indexOf(document.activeElement);
  const across = links.findIndex((link) => link.offsetTop > links[0].offsetTop);
  const columns = across < 0 ? links.length : across;
  const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
  if (!step || !links.length || event.altKey || event.ctrlKey || event.metaKey) return;
  const next = at < 0 ? 0 : at + step;
  if (next < 0) $("title").focus();
  else links[Math.min(next, links.length - 1)].focus();
  event.preventDefault();
}

function listen() {
  $("form").addEventListener("submit", (event) => {
    event.preventDefault();
    const now = asked();
    goTo({ ...now, item: now.title || now.photo ? null : now.item });
  });
  $("file").addEventListener("change", () => { takePhoto($("file").files[0]); $("file").value = ""; });
  $("clear").addEventListener("click", () => {
    goTo({ ...asked(), item: null, photo: null });
    $("title").focus();
  });
  $("settings").addEventListener("submit", (event) => event.preventDefault());
  $("filters").addEventListener("change", () => goTo(asked()));
  $("sliders").addEventListener("input", told);
  $("sliders").addEventListener("change", () => {
    if (weightValues().some((value) => value > 0)) goTo(asked(), true);
    else setWeights(fromAddress().weights);
  });
  $("reset").addEventListener("click", () => goTo({ ...asked(), weights: null }));
  $("unlock").addEventListener("submit", (event) => {
    event.preventDefault();
    token = $("token").value.trim();
    sessionStorage.setItem("token", token);
    $("unlock").hidden = true;
    start();
  });
  addEventListener("popstate", show);
  addEventListener("paste", (event) => {
    const file = [...event.clipboardData.files].find((one) => one.type.startsWith("image/"));
    if (file) { event.preventDefault(); takePhoto(file); }
  });
  addEventListener("dragover", (event) => {
    if (![...event.dataTransfer.types].includes("Files")) return;
    event.preventDefault();
    $("drop").hidden = false;
  });
  addEventListener("dragleave", (event) => { if (!event.relatedTarget) $("drop").hidden = true; });
  addEventListener("drop", (event) => {
    event.preventDefault();
    $("drop").hidden = true;
    if (event.dataTransfer.files.length) takePhoto(event.dataTransfer.files[0]);
  });
  addEventListener("keydown", (event) => {
    const field = event.target.closest("input, select, textarea");
    if (event.key === "/" && !field) { event.preventDefault(); $("title").focus(); $("title").select(); }
    else if (event.key === "ArrowDown" && event.target === $("title")) move(event);
    else if (!field && event.key.startsWith("Arrow") && $("results").contains(event.target)) move(event);
  });
}

async function start() {
  try {
    service = await (await ask("api/index")).json();
  } catch (error) {
    $("error").textContent = error.message;
    $("error").hidden = false;
    return;
  }
  $("about").textContent = `${service.items.toLocaleString("en")} products`;
  $("title").maxLength = service.limits.title;
  $("options").open = matchMedia("(min-width: 761px)").matches;
  addSliders();
  addFilters();
  await show();
}

listen();
start();
