// The script of a report makes its tables sortable and filterable, and its plots readable under the pointer. Without it,
// the page has the same numbers and static plots. This is its first part.
"use strict";

/** Creates an element with attributes, listeners (functions) and children. */
function create(name, attributes = {}, ...children) {
  const isDrawing = ["svg", "path", "line", "circle", "rect", "text", "title", "polygon"].includes(name);
  const node = isDrawing
    ? document.createElementNS("http://www.w3.org/2000/svg", name)
    : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(key, value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}
