// The browser of episodes. Whatever comes from data or agents enters the page as text, never as markup.

const at = (id) => document.getElementById(id);
const field = Object.fromEntries(
  ["set", "seed", "agent", "outcome", "disagree", "query", "per"].map((name) => [name, at(`filter-${name}`)]),
);
let index, questions, episodes, page, per;

// Elements

function make(tag, name, ...children) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  element.append(...children);
  return element;
}

// Text of unknown origin, kept from reordering what stands beside it, finds marked.
function text(words, query = "") {
  const element = make("bdi", "");
  const folded = fold(words);
  let done = 0;
  if (query && folded.length === words.length) {
    for (let start = folded.indexOf(query); start >= 0; start = folded.indexOf(query, done)) {
      element.append(words.slice(done, start), make("mark", "", words.slice(start, start + query.length)));
      done = start + query.length;
    }
  }
  element.append(words.slice(done));
  return element;
}

function options(select, entries) {
  select.replaceChildren(...entries.map(([value, label]) => {
    const option = make("option", "", label);
    option.value = value;
    return option;
  }));
}

function share(thousandths) {
  if (thousandths >= 1000) return "1.00";
  return `.${String(thousandths).padStart(3, "0")}`;
}

// One episode

function episodeCard(episode, filter) {
  const { answer, task, replies, user, t, users } = questions;
  const row = questions.position[episode];
  const head = make("h3", "", `Episode ${episode + 1} `, make(
    "small", "", "user ", text(users[user[row]]), `, after ${t[row].toLocaleString("en")} interactions`,
  ));
  const slate = questions.offered(episode);
  const query = fold(filter.query);
  const judged = task === "judgment";
  const titles = judged ? ["No", "Yes"] : [...slate].map((item) => text(questions.labels[item], query));
  const places = titles.map((title, place) => {
    const name = make("span", "title", judged ? title : make("span", "", `${place + 1}. `, title));
    if (place === answer[episode]) name.append(" ", make("span", "truth", "truth"));
    const line = make("li", place === answer[episode] ? "true" : "", name);
    const chosen = replies.map((_, i) => i).filter((i) => choice(i, episode) === place);
    line.append(make("span", "chips", ...chosen.map((i) => chip(i, episode, filter))));
    return line;
  });
  if (judged) places.reverse(); // Yes before No
  const unread = replies.map((_, i) => i).filter((i) => choice(i, episode) < 0);
  if (unread.length) {
    const chips = make("span", "chips", ...unread.map((i) => chip(i, episode, filter)));
    places.push(make("li", "", make("span", "title", "no readable reply"), chips));
  }
  const parts = [head, historyOf(episode, query)];
  if (judged) parts.push(make("p", "asked", "Asked: ", text(questions.labels[slate[0]], query)));
  const card = make("article", "episode", ...parts, make("ul", "places", ...places), ...wordsOf(episode, filter, query));
  card.tabIndex = -1;
  return card;
}

// The place that an agent chose, -1 where its reply could not be read.
function choice(agent, episode) {
  return questions.outcome(agent, episode) === "unreadable" ? -1 : questions.replies[agent].action[episode];
}

function chip(agent, episode, filter) {
  const { name, shortcut } = questions.replies[agent];
  const outcome = questions.outcome(agent, episode);
  const element = make("span", `chip ${outcome}${shortcut ? " shortcut" : ""}${filter.agent === agent ? " own" : ""}`);
  element.append(make("span", "sign", { right: "✓", wrong: "✗", unreadable: "?" }[outcome]), " ", text(name));
  const stated = probability(agent, episode);
  if (stated) element.append(" ", make("span", "chance", stated));
  element.title = `${outcome}${shortcut ? ", a shortcut" : ""}${stated ? `, probability ${stated}` : ""}`;
  return element;
}

// A judgment: of Yes. A selection: of the chosen place.
function probability(agent, episode) {
  const { chance, chances, action } = questions.replies[agent];
  if (!chance) return "";
  if (questions.task === "judgment") return `p(Yes) ${share(chance[episode * chances])}`;
  return share(chance[episode * chances + action[episode]]);
}

function historyOf(episode, query) {
  const titles = questions.watched(episode).map((item) => questions.labels[item]);
  if (!titles.length) return make("p", "history", "No history is shown.");
  const newest = titles.slice(-3).map((title) => text(title, query));
  const summary = make("summary", "", make("span", "label", "History "));
  if (titles.length > 3) summary.append(`${titles.length - 3} older, then `);
  newest.forEach((title, i) => summary.append(i ? " · " : "", title));
  const details = make("details", "history", summary);
  details.append(make("ol", "", ...titles.map((title) => make("li", "", text(title, query)))));
  details.open = Boolean(query) && titles.slice(0, -3).some((title) => fold(title).includes(query));
  return details;
}

function wordsOf(episode, filter, query) {
  const said = [];
  questions.replies.forEach(({ name, words, more }, agent) => {
    if (!words || !words[episode] || (Number.isInteger(filter.agent) && filter.agent !== agent)) return;
    const body = make("div", "words", text(words[episode], query));
    const missing = more ? more[episode] : 0;
    if (missing) {
      body.append(make("span", "note", ` … cut here; the records hold ${missing.toLocaleString("en")} more characters`));
    }
    const title = make("summary", "", text(name), " said");
    const details = make("details", "said", title, body);
    details.open = true;
    said.push(details);
  });
  return said;
}

// Filters and pages

function filter() {
  const chosen = field.agent.value;
  return {
    agent: chosen === "any" || chosen === "every" ? chosen : Number(chosen),
    outcome: field.outcome.value,
    disagree: field.disagree.checked,
    query: field.query.value.trim(),
  };
}

function apply() {
  if (!questions) return;
  const started = performance.now();
  episodes = questions.select(filter());
  page = 0;
  show();
  performance.measure("filter", { start: started });
}

function show() {
  per = Number(field.per.value);
  const pages = Math.max(1, Math.ceil(episodes.length / per));
  page = Math.min(Math.max(page, 0), pages - 1);
  const chosen = episodes.slice(page * per, (page + 1) * per);
  const total = questions.count.toLocaleString("en");
  at("count").textContent = `${episodes.length.toLocaleString("en")} of ${total} episodes`;
  at("where").textContent = `page ${(page + 1).toLocaleString("en")} of ${pages.toLocaleString("en")}`;
  at("first").disabled = at("previous").disabled = page === 0;
  at("last").disabled = at("next").disabled = page === pages - 1;
  const wanted = filter();
  at("episodes").replaceChildren(...chosen.map((episode) => episodeCard(episode, wanted)));
  if (!chosen.length) at("episodes").append(make("p", "none", "No episode passes these filters."));
}

function turn(to) {
  page = to;
  show();
  at("browser").scrollIntoView();
}

async function load() {
  const wanted = `${field.set.value} ${field.seed.value}`;
  at("count").textContent = "reading …";
  const loaded = await Questions.load(index.sets, Number(field.set.value), Number(field.seed.value));
  if (wanted !== `${field.set.value} ${field.seed.value}`) return; // another one was chosen meanwhile
  questions = loaded;
  apply();
}

// A new set: its seeds and agents; the agent that was chosen stays so if the set has it.
function choose() {
  const set = index.sets[Number(field.set.value)];
  const before = set.agents.indexOf(field.agent.selectedOptions[0]?.textContent);
  options(field.seed, set.seeds.map((seed, i) => [i, `seed ${seed}`]));
  options(field.agent, [["any", "any agent"], ["every", "every agent"], ...set.agents.map((name, i) => [i, name])]);
  if (before >= 0) field.agent.value = before;
  return load();
}

function clear() {
  field.agent.value = "any";
  field.outcome.value = field.query.value = "";
  field.disagree.checked = false;
  apply();
}

function keys(event) {
  const typing = event.target.closest("input, select, textarea");
  if (typing || event.ctrlKey || event.altKey || event.metaKey || !questions) return;
  const cards = [...at("episodes").querySelectorAll("article")];
  const here = cards.indexOf(event.target.closest("article"));
  if (event.key === "j" || event.key === "k") {
    const next = cards[Math.min(Math.max(here + (event.key === "j" ? 1 : -1), 0), cards.length - 1)];
    if (next) next.focus();
  } else if (event.key === "n" || event.key === "p") {
    turn(page + (event.key === "n" ? 1 : -1));
    at("episodes").querySelector("article")?.focus({ preventScroll: true });
  } else if (event.key === "/") {
    field.query.focus();
  } else return;
  event.preventDefault();
}

async function start() {
  if (!("DecompressionStream" in window)) {
    at("count").textContent = "This browser is too old for the list of episodes: it lacks DecompressionStream.";
    return;
  }
  index = await block("index");
  options(field.set, index.sets.map((set, i) => [i, set.title]));
  field.set.addEventListener("change", choose);
  field.seed.addEventListener("change", load);
  for (const name of ["agent", "outcome", "disagree", "query"]) field[name].addEventListener("input", apply);
  field.per.addEventListener("change", () => {
    if (!questions) return;
    page = Math.floor((page * per) / Number(field.per.value)); // the first episode in sight stays so
    show();
  });
  at("filters").addEventListener("submit", (event) => event.preventDefault());
  at("reset").addEventListener("click", clear);
  at("first").addEventListener("click", () => turn(0));
  at("previous").addEventListener("click", () => turn(page - 1));
  at("next").addEventListener("click", () => turn(page + 1));
  at("last").addEventListener("click", () => turn(Infinity));
  at("browser").addEventListener("keydown", keys);
  await choose();
}

start().catch((error) => { at("count").textContent = `The episodes could not be read: ${error.message}`; });
