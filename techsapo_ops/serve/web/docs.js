// Draws /openapi.json, without fetching anything from elsewhere.

import { element, setUp, word } from "/web/words.js";

let api = null;

function resolved(schema) {
  const name = schema?.$ref?.split("/").pop();
  return name ? api.components.schemas[name] : schema;
}

function typeName(schema) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.anyOf) return schema.anyOf.map(typeName).join(" | ");
  if (schema.type === "array") return `${typeName(schema.items)}[]`;
  if (schema.type === "object" && schema.title) return schema.title;
  return schema.type ?? "";
}

function fields(schema) {
  const table = element("table");
  const known = resolved(schema);
  for (const [name, field] of Object.entries(known?.properties ?? {})) {
    const row = element("tr");
    const title = element("td");
    title.append(element("code", "", name));
    if (known.required?.includes(name)) title.append(" ", element("small", "dim", word("required")));
    const type = element("td");
    type.append(element("code", "", typeName(field)));
    row.append(title, type, element("td", "dim", field.description ?? ""));
    table.append(row);
  }
  return table;
}

function section(title, ...content) {
  return [element("h2", "", title), ...content];
}

function operation(path, method, described) {
  const box = element("details");
  const head = element("summary");
  head.append(element("span", "method", method.toUpperCase()), element("code", "", path), " ", element("span", "dim", described.summary ?? ""));
  box.append(head);
  if (described.parameters?.length) {
    const table = element("table");
    for (const parameter of described.parameters) {
      const row = element("tr");
      const name = element("td");
      name.append(element("code", "", parameter.name), " ", element("small", "dim", parameter.in));
      row.append(name, element("td", "dim", parameter.description ?? ""));
      table.append(row);
    }
    box.append(...section(word("parameters"), table));
  }
  const body = described.requestBody?.content?.["application/json"]?.schema;
  if (body) {
    box.append(...section(word("body"), fields(body)));
    const example = `curl -s ${location.origin}${path} -H 'Content-Type: application/json' \\\n  -d '{"prompt": "${word("placeholder").replace(/^(?:例：|e\.g\. )/u, "")}", "task_type": "basic"}'`;
    box.append(...section(word("example"), element("pre", "", example)));
  }
  const table = element("table");
  for (const [status, response] of Object.entries(described.responses ?? {})) {
    const row = element("tr");
    const schema = Object.values(response.content ?? {})[0]?.schema;
    row.append(element("td", "", status), element("td", "dim", response.description ?? ""));
    const type = element("td");
    type.append(element("code", "", typeName(schema)));
    row.append(type);
    table.append(row);
  }
  box.append(...section(word("answers"), table));
  const ok = resolved(described.responses?.["200"]?.content?.["application/json"]?.schema);
  if (ok?.properties) box.append(...section(`200 ${ok.title ?? ""}`, fields(ok)));
  return box;
}

function draw() {
  if (api === null) return;
  document.getElementById("title").textContent = `${api.info.title} ${word("docsTitle")} ${api.info.version}`;
  const boxes = [];
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, described] of Object.entries(methods)) {
      if (method !== "head") boxes.push(operation(path, method, described));
    }
  }
  document.getElementById("operations").replaceChildren(...boxes);
}

async function load() {
  try {
    const response = await fetch("/openapi.json");
    api = await response.json();
    draw();
  } catch {
    document.getElementById("status").textContent = word("unreachable");
  }
}

setUp(draw);
load();
