/** Making and changing elements. Only text and attributes: nothing that comes from the cluster is read as HTML. */

const SVG = "http://www.w3.org/2000/svg";

/** The element with that id, which the page has. */
export function byId(id) {
  return document.getElementById(id);
}

/** A new HTML element. Attributes that are `undefined` or `false` are left out; functions are listeners. */
export function element(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** A new SVG element. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(made, attributes, children) {
  set(made, attributes);
  made.append(...children.filter((child) => child !== undefined && child !== null));
  return made;
}

/** Sets what has changed. */
export function set(target, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") target.addEventListener(name, value);
    else if (value === undefined || value === false || value === null) target.removeAttribute(name);
    else if (target.getAttribute(name) !== String(value))
      target.setAttribute(name, value === true ? "" : value);
  }
}

/** Sets the text if it has changed: what has not changed is not read out again. */
export function say(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/**
 * Keeps one element per item, in the items' order, and brings each up to date.
 * Focus and what is open stay, because elements stay.
 */
export function keyed(parent, items, keyOf, make, update) {
  parent.kept ??= new Map();
  const before = parent.kept;
  const now = new Map();
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    const child = before.get(key) ?? make(item);
    before.delete(key);
    now.set(key, child);
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
    update(child, item);
  }
  for (const gone of before.values()) gone.remove();
  parent.kept = now;
}
