/**
 * Fills the generated parts of docs/reference-*.md with the doc comments of the packages, so that the pages
 * cannot say anything else than the code does. A part stands between two lines, the first of which names an
 * exported function, class, interface or union of texts:
 *
 *     <!-- reference: PrimaryOptions -->
 *     <!-- end -->
 *
 * Usage: node scripts/reference.mjs [--check]
 * With --check nothing is written; the exit code is 1 if a page is not up to date.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";

const ROOT = new URL("../", import.meta.url);
const PACKAGES = ["adapter", "sticky", "cluster"];
const WIDTH = 118;

const isCheck = process.argv.includes("--check");
for (const name of PACKAGES) {
  const path = `docs/reference-${name}.md`;
  const page = readFileSync(new URL(path, ROOT), "utf8");
  const filled = fill(page, readSources(name), path);
  if (filled === page) continue;
  if (isCheck) {
    console.error(`${path} is not what the doc comments say. Run: npm run reference`);
    process.exitCode = 1;
  } else {
    writeFileSync(new URL(path, ROOT), filled);
    console.log(`wrote ${path}`);
  }
}

/** All sources of a package in one text: where a type lies is of no interest here. */
function readSources(name) {
  const folder = new URL(`packages/${name}/src/`, ROOT);
  const files = readdirSync(folder, { recursive: true }).filter((file) =>
    /(?<!\.test|\.test-d)\.ts$/.test(file),
  );
  return files.map((file) => readFileSync(new URL(file, folder), "utf8")).join("\n");
}

function fill(page, sources, path) {
  return page.replace(
    /^(<!-- reference: (\w+) -->\n)[\s\S]*?^(<!-- end -->)$/gm,
    (_, start, name, end, offset) => {
      const [hashes] = page
        .slice(0, offset)
        .match(/^#+(?= )/gm)
        .slice(-1);
      const text = render(sources, name, `${hashes}#`);
      if (text === undefined) throw new Error(`${path}: packages/*/src exports no "${name}"`);
      return `${start}\n${text}\n\n${end}`;
    },
  );
}

/** @param heading the marks of headings for what has one */
function render(sources, name, heading) {
  const union = sources.match(new RegExp(`^export type ${name} =\\n([\\s\\S]*?");$`, "m"));
  if (union) return renderUnion(union[1], heading);
  const body = sources.match(
    new RegExp(
      `^export (?:interface|class) ${name}(?:<.*>)?(?: (?:extends|implements) .*)? \\{\\n([\\s\\S]*?)^\\}`,
      "m",
    ),
  );
  if (body) {
    const members = membersOf(body[1]);
    return /Options$/.test(name) ? renderOptions(members, sources, heading) : renderMembers(members);
  }
  const fn = sources.match(
    new RegExp(`^/\\*\\*\\n((?: \\*.*\\n)+?) \\*/\\nexport (?:async )?function ${name}\\(`, "m"),
  );
  return fn && renderFunction(comment(fn[1]));
}

/** Doc comment and declaration of each public member; one without a comment shares that of the one before. */
function membersOf(body) {
  const pattern =
    /^ {2}(?:\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\n {2})?((?:readonly |async )?"?[\w:]+"?\??(?:\([^\n]*\))?: [^\n]*[;{])$/gm;
  const members = [];
  for (const [, doc, declaration] of body.matchAll(pattern)) {
    if (/^(?:constructor|get |set )/.test(declaration)) continue;
    const [, name, parameters = "", type] = declaration.match(
      /^(?:readonly |async )?"?([\w:]+)"?\??(\([^\n]*?\)(?=: ))?: (.*?)[;{ ]+$/,
    );
    const member = { names: [name + parameters], type, ...comment(doc ?? "") };
    const previous = members.at(-1);
    if (doc !== undefined) members.push(member);
    else if (previous) previous.names.push(...member.names);
    else throw new Error(`"${name}" has no doc comment`);
  }
  const documented = body.match(/\*\/\n {2}(?!(?:readonly |static |async )*#|get |set |constructor)/g) ?? [];
  if (documented.length !== members.length) throw new Error(`a declaration of more than one line in ${body}`);
  return members;
}

/** The text of a doc comment, and its tags. */
function comment(raw) {
  const text = raw.replace(/^[ \t]*\* ?/gm, "").trim();
  const [first = "", ...tags] = text.split(/^@/m);
  return {
    text: markdown(first),
    tags: tags.map((tag) => {
      const [, name, value] = tag.match(/^(\w+)\s*([\s\S]*)$/);
      return { name, value: markdown(value) };
    }),
  };
}

function markdown(text) {
  return text
    .replace(/\{@link (?:\w+\.)?(\w+)\}/g, "`$1`")
    .replace(/\s*\n(?=- )/g, "\0")
    .replace(/\s+/g, " ")
    .replaceAll("\0", "\n")
    .trim();
}

function tagOf({ tags }, name) {
  return tags.find((tag) => tag.name === name)?.value;
}

function code(text) {
  return text.includes("`") ? text : `\`${text}\``;
}

function renderOptions(members, sources, heading) {
  return members
    .map((member) => {
      const given = tagOf(member, "default");
      const [, value = "", rest = ""] = given?.match(/^("[^"]*"|`[^`]*`|\[\]|true|false|[\d.]+)(.*)$/) ?? [];
      const standard = given === undefined ? "none" : value ? code(value) + rest : given;
      const returns = tagOf(member, "returns");
      const lines = [
        `${heading} \`${member.names[0]}\``,
        `Type ${code(typeText(member.type, sources))}, default ${standard}.`,
        [member.text, returns && `Returns ${returns}.`, see(member)].filter(Boolean).join(" "),
      ];
      return lines.map((line) => wrap(line)).join("\n\n");
    })
    .join("\n\n");
}

/** A union of texts that has a name is written out. */
function typeText(type, sources) {
  if (!/^\w+$/.test(type)) return type;
  return sources.match(new RegExp(`^export type ${type} = (.*);$`, "m"))?.[1] ?? type;
}

function see(doc) {
  const link = tagOf(doc, "see");
  return link && `See <${link}>.`;
}

function renderMembers(members) {
  return members
    .map(({ names, type, text }) => {
      const labels = names.map((name) => `\`${name}\``).join(", ");
      // A tuple is what an event's listeners get.
      const given =
        type.startsWith("[") && type !== "[]"
          ? `, with \`(${type.slice(1, -1).replaceAll("readonly ", "")})\``
          : "";
      return wrap(`- ${labels}${given}: ${text}`, "  ");
    })
    .join("\n");
}

function renderUnion(body, heading) {
  const entries = [...body.matchAll(/\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*\| "([^"]+)"/g)];
  if (entries.length !== body.match(/\| "/g)?.length)
    throw new Error(`a text without a doc comment in ${body}`);
  const [, , first] = entries[0];
  if (!/^[A-Z_]+$/.test(first)) {
    return entries.map(([, doc, text]) => wrap(`- \`${text}\`: ${comment(doc).text}`, "  ")).join("\n");
  }
  return entries.map(([, doc, text]) => `${heading} \`${text}\`\n\n${wrap(comment(doc).text)}`).join("\n\n");
}

function renderFunction(doc) {
  const throws = doc.tags
    .filter(({ name }) => name === "throws")
    .map(({ value }) => wrap(`- ${value.replace(/^\{\w+\} /, "")}`, "  "));
  const lines = [wrap(doc.text)];
  if (see(doc)) lines.push(see(doc));
  if (throws.length > 0) lines.push(`Throws:\n\n${throws.join("\n")}`);
  return lines.join("\n\n");
}

function wrap(text, indent = "") {
  return text
    .split("\n")
    .map((line) => wrapLine(line, line.startsWith("- ") ? "  " : indent))
    .join("\n")
    .replace(/^(?!- | ).+\n(?=- )/m, "$&\n");
}

function wrapLine(text, indent) {
  const lines = [""];
  // Code is one word: where it is broken, it cannot be searched for.
  for (const word of text.match(/(?:`[^`]*`|[^\s`])+/g) ?? []) {
    const line = lines.at(-1);
    if (line && line.length + 1 + word.length > WIDTH) lines.push(indent + word);
    else lines[lines.length - 1] = line ? `${line} ${word}` : word;
  }
  return lines.join("\n");
}
