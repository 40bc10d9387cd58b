// Shows /openapi.json. Every text is set as text: nothing of the document becomes markup.
"use strict";

const METHODS = ["get", "post", "put", "patch", "delete"];
let api;

/** An element with a class, and children that are elements or texts. */
function el(name, className, ...children) {
  const node = document.createElement(name);
  if (className) node.className = className;
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

/** What a reference names, and the name. */
function resolve(schema) {
  let name = null;
  for (let depth = 0; schema && schema.$ref && depth < 20; depth += 1) {
    const parts = schema.$ref.split("/").slice(1);
    name = parts[parts.length - 1];
    const { $ref, ...beside } = schema;
    schema = { ...parts.reduce((at, part) => at?.[part], api), ...beside };
  }
  return [schema || {}, name];
}

/** The alternatives of a schema that are not null, and whether null is one. */
function alternatives(schema) {
  const list = schema.anyOf || schema.oneOf;
  if (!list) return [[schema], false];
  const real = list.filter((one) => one.type !== "null");
  return [real, real.length < list.length];
}

/** A schema in a few words, such as `array of Group or null`. */
function words(given) {
  const [schema, name] = resolve(given);
  if (schema.allOf && schema.allOf.length === 1 && !name) return words(schema.allOf[0]);
  const [list, hasNull] = alternatives(schema);
  if (list[0] !== schema) return list.map(words).join(" or ") + (hasNull ? " or null" : "");
  const types = [].concat(schema.type || []);
  const orNull = types.includes("null") ? " or null" : "";
  const type = types.filter((one) => one !== "null").join(" or ");
  if (schema.items) return `array of ${words(schema.items)}${orNull}`;
  if (name) return name + orNull;
  if (schema.additionalProperties && typeof schema.additionalProperties === "object") {
    return `map of ${words(schema.additionalProperties)}${orNull}`;
  }
  return (type || "any") + (schema.format ? ` (${schema.format})` : "") + orNull;
}

/** The object that hides in a schema: itself, its items, its one alternative. */
function objectIn(given) {
  const [schema] = resolve(given);
  if (schema.properties) return schema;
  if (schema.allOf) {
    const parts = schema.allOf.map(objectIn).filter(Boolean);
    if (!parts.length) return null;
    return {
      properties: Object.assign({}, ...parts.map((part) => part.properties)),
      required: parts.flatMap((part) => part.required || []),
    };
  }
  if (schema.items) return objectIn(schema.items);
  if (schema.additionalProperties && typeof schema.additionalProperties === "object") {
    return objectIn(schema.additionalProperties);
  }
  const [list] = alternatives(schema);
  return list[0] === schema ? null : list.map(objectIn).find(Boolean) || null;
}

/** What else a schema says: its words, bounds, default, examples. */
function rules(given) {
  const [schema] = resolve(given);
  const list = [];
  const [inner] = alternatives(schema);
  const choices = schema.enum || inner.map((one) => resolve(one)[0].enum).find(Boolean)
    || resolve(schema.items)[0].enum || inner.map((one) => one.const).filter((one) => one !== undefined);
  if (choices && choices.length) list.push(`one of ${choices.filter((one) => one !== null).join(", ")}`);
  for (const [key, text] of [["minimum", "at least"], ["maximum", "at most"],
    ["minLength", "shortest"], ["maxLength", "longest"]]) {
    if (schema[key] !== undefined) list.push(`${text} ${schema[key]}`);
  }
  if (schema.default !== undefined && schema.default !== null) {
    list.push(`default ${JSON.stringify(schema.default)}`);
  }
  if (schema.examples && schema.examples.length) list.push(`such as ${JSON.stringify(schema.examples[0])}`);
  return list.join("; ");
}

/** Rows of name, type, description. */
function table(rows) {
  const head = el("tr", "", ...["Name", "Type", "Description"].map((text) => {
    const cell = el("th", "", text);
    cell.scope = "col";
    return cell;
  }));
  return el("table", "", el("thead", "", head), el("tbody", "", ...rows));
}

function row(name, isRequired, schema, description) {
  const [resolved] = resolve(schema);
  const text = description || resolved.description || "";
  const more = rules(schema);
  return el("tr", "",
    el("td", "", el("span", "name", name), isRequired ? el("span", "mark", "required") : ""),
    el("td", "type", words(schema)),
    el("td", "", text, more ? el("div", "type", more) : "", members(schema)));
}

/** The members of an object, made when they are asked for: schemas may hold themselves. */
function members(schema, isOpen) {
  const object = objectIn(schema);
  if (!object) return "";
  const required = new Set(object.required || []);
  const rows = () => table(Object.entries(object.properties)
    .map(([name, member]) => row(name, required.has(name), member)));
  if (isOpen) return rows();
  const inner = el("details", "inner", el("summary", "", `members of ${words(schema)}`));
  inner.addEventListener("toggle", () => inner.append(rows()), { once: true });
  return inner;
}

function needs(operation) {
  if (!operation.security || !operation.security.length) return "Needs nothing.";
  if (operation.security.some((one) => "connectorToken" in one)) return "Needs a connector's token.";
  const roles = operation["x-roles"] || [];
  const scope = operation["x-scope"];
  const role = roles.length ? ` of somebody with the role ${roles.join(" or ")}` : "";
  return `Needs a token with the scope ${scope || "?"}${role}.`;
}

function content(title, part) {
  const kinds = Object.entries((part && part.content) || {});
  return kinds.map(([kind, media]) => el("div", "",
    el("h3", "", `${title} (${kind})`),
    media.schema ? el("p", "type", words(media.schema)) : "",
    media.schema ? members(media.schema, true) : ""));
}

function detail(operation) {
  const parameters = (operation.parameters || []).map((one) => resolve(one)[0]);
  const [body] = resolve(operation.requestBody);
  const answers = Object.entries(operation.responses || {}).map(([status, one]) => [status, resolve(one)[0]]);
  return el("div", "",
    el("p", "", operation.description || ""),
    el("p", "", needs(operation), " Id: ", el("code", "", operation.operationId || "")),
    parameters.length ? el("h3", "", "Parameters") : "",
    parameters.length ? table(parameters.map((one) =>
      row(`${one.name} (${one.in})`, one.required, one.schema || {}, one.description))) : "",
    ...content("Body", body),
    el("h3", "", "Answers"),
    table(answers.map(([status, answer]) => {
      const media = Object.values(answer.content || {})[0];
      const kinds = Object.keys(answer.content || {}).join(", ");
      return el("tr", "", el("td", "name", status), el("td", "type", media && media.schema ? words(media.schema) : kinds || "no body"),
        el("td", "", answer.description || "", media && media.schema && status < "300" ? members(media.schema) : ""));
    })));
}

/** Everything that can be found of an operation, in lower case. */
function searchable(method, path, operation) {
  const names = new Set();
  const walk = (schema, depth) => {
    const object = depth < 4 ? objectIn(schema) : null;
    for (const [name, member] of Object.entries(object ? object.properties : {})) {
      names.add(name);
      walk(member, depth + 1);
    }
  };
  for (const part of [resolve(operation.requestBody)[0], ...Object.values(operation.responses || {}).map((one) => resolve(one)[0])]) {
    for (const media of Object.values((part && part.content) || {})) walk(media.schema || {}, 0);
  }
  const parameters = (operation.parameters || []).map((one) => resolve(one)[0].name);
  return [method, path, operation.operationId, operation.summary, operation.description,
    (operation.tags || []).join(" "), needs(operation), parameters.join(" "), [...names].join(" ")]
    .join(" ").toLowerCase();
}

function show() {
  document.getElementById("version").textContent = api.info.version;
  document.getElementById("about").textContent = api.info.description || "";
  const sections = new Map();
  for (const tag of api.tags || []) sections.set(tag.name, { tag, entries: [] });
  for (const [path, item] of Object.entries(api.paths)) {
    for (const method of METHODS.filter((one) => item[one])) {
      const operation = item[method];
      const name = (operation.tags || ["Others"])[0];
      if (!sections.has(name)) sections.set(name, { tag: { name }, entries: [] });
      sections.get(name).entries.push({ method, path, operation });
    }
  }
  const main = document.getElementById("operations");
  const groups = document.getElementById("groups");
  const all = [];
  main.replaceChildren();
  for (const { tag, entries } of sections.values()) {
    if (!entries.length) continue;
    const id = `group-${tag.name.toLowerCase().replace(/[^a-z0-9]+/g, "-")}`;
    const section = el("section", "", el("h2", "", tag.name), el("p", "", tag.description || ""));
    section.id = id;
    for (const entry of entries) {
      const { method, path, operation } = entry;
      const legacy = operation.deprecated ? el("span", "mark", "deprecated") : "";
      const line = el("summary", "", el("span", `method ${method}`, method.toUpperCase()), " ",
        el("span", "path", path), " ", el("span", "what", operation.summary || ""), legacy);
      entry.node = el("details", "operation", line);
      entry.node.id = operation.operationId || `${method}-${path}`;
      entry.node.addEventListener("toggle", () => entry.node.append(detail(operation)), { once: true });
      entry.section = section;
      entry.text = searchable(method, path, operation);
      section.append(entry.node);
      all.push(entry);
    }
    main.append(section);
    const link = el("a", "", tag.name);
    link.href = `#${id}`;
    groups.append(el("li", "", link));
  }
  return all;
}

function search(all, text) {
  const wanted = text.toLowerCase().split(/\s+/).filter(Boolean);
  let found = 0;
  const sections = new Set();
  for (const entry of all) {
    const matches = wanted.every((word) => entry.text.includes(word));
    entry.node.hidden = !matches;
    if (matches) {
      found += 1;
      sections.add(entry.section);
    }
  }
  for (const entry of all) entry.section.hidden = !sections.has(entry.section);
  document.getElementById("count").textContent = `${found} of ${all.length} operations`;
}

function openNamed() {
  const node = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (node && node.classList.contains("operation")) node.open = true;
  if (node) node.scrollIntoView();
}

async function start() {
  const state = document.getElementById("state");
  try {
    const answer = await fetch("/openapi.json");
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    api = await answer.json();
  } catch (error) {
    state.textContent = `The description of the API cannot be read (${error.message}). Load the page again.`;
    return;
  }
  const all = show();
  const field = document.getElementById("search");
  field.addEventListener("input", () => search(all, field.value));
  search(all, field.value);
  addEventListener("hashchange", openNamed);
  addEventListener("keydown", (event) => {
    if (event.key === "/" && document.activeElement !== field && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      field.focus();
    }
  });
  openNamed();
}

start();
