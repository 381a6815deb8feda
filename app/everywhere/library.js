// The library at hand. One dialog, one bubble and one set of listeners per tab; editors ask `window.miLibrary`.
//
// The entries are fetched once, when they are first wanted. A name of an editor is looked up by the imports of its file,
// so that a learner's own `loss` is never taken for the library's; a method by its name alone, where only one class has
// it or it is a model's. In a lesson, `code` is looked up if it is a call or a dotted name, and means one thing only.

const STYLE = `
.mi-library-bubble { position: fixed; z-index: 1000000; box-sizing: border-box; max-width: min(38rem, calc(100vw - 16px));
  padding: .6rem .8rem; border: 1px solid color-mix(in srgb, currentColor 35%, transparent); border-radius: 8px;
  font: 400 .95rem/1.45 "Source Sans", sans-serif; box-shadow: 0 4px 16px rgb(0 0 0 / .25); pointer-events: none }
.mi-library-bubble[hidden] { display: none }
.mi-library code, .mi-library-bubble code { font: 13px/1.45 ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  display: block; overflow-wrap: anywhere; white-space: pre-wrap; background: none; color: inherit; padding: 0 }
.mi-library-bubble small, .mi-library small { opacity: .75; font-size: .85rem }
.mi-library { box-sizing: border-box; width: min(46rem, calc(100vw - 24px)); max-height: min(80vh, 44rem); margin-top: 8vh;
  padding: 0; border: 1px solid color-mix(in srgb, currentColor 35%, transparent); border-radius: 10px;
  font: 400 1rem/1.45 "Source Sans", sans-serif; box-shadow: 0 8px 40px rgb(0 0 0 / .35) }
.mi-library[open] { display: flex; flex-direction: column }
.mi-library::backdrop { background: rgb(0 0 0 / .35) }
.mi-library header { padding: 12px; border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent) }
.mi-library .row { display: flex; gap: 8px }
.mi-library input { flex: 1; min-width: 0; font: inherit; padding: 8px 10px; border-radius: 6px; background: transparent;
  border: 1px solid color-mix(in srgb, currentColor 45%, transparent); color: inherit }
.mi-library header button { font: inherit; padding: 6px 12px; border-radius: 6px; background: transparent; color: inherit;
  border: 1px solid color-mix(in srgb, currentColor 45%, transparent); cursor: pointer }
.mi-library p { margin: 6px 0 0; font-size: .9rem }
.mi-library ul { list-style: none; margin: 0; padding: 4px; overflow-y: auto }
.mi-library li > button { display: block; width: 100%; text-align: left; padding: 8px; border: 0; border-radius: 6px;
  background: transparent; color: inherit; font: inherit; cursor: pointer }
.mi-library li > button:is(:hover, :focus-visible) { background: color-mix(in srgb, currentColor 10%, transparent) }
.mi-library pre { margin: 0 8px 10px; padding: 8px 10px; white-space: pre-wrap; overflow-wrap: anywhere;
  font: 13px/1.5 ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; border-radius: 6px;
  background: color-mix(in srgb, currentColor 7%, transparent) }
`
const MOST = 40 // results that are shown

const element = (tag, text = "", name = "") => {
  const made = document.createElement(tag)
  made.textContent = text
  if (name) made.className = name
  return made
}
const last = (entry) => entry.name.split(".").at(-1)
// How it is brought in: a method comes with its object.
const imported = (entry) => entry.kind === "method" ? `a method of ${entry.module}.${entry.name.split(".")[0]}` : `from ${entry.module} import ${entry.name}`

function paint(box) {
  const page = getComputedStyle(document.querySelector(".stApp") ?? document.body)
  box.style.background = page.backgroundColor
  box.style.color = page.color
}

function make(address) {
  let entries = null
  let byName = new Map() // "mi_lib.models:load" → entry
  let byLast = new Map() // "run_with_cache" → entries
  let coming = null

  const load = () => (coming ??= fetch(address)
    .then((answer) => (answer.ok ? answer.json() : Promise.reject(new Error(answer.status))))
    .then((all) => {
      entries = all
      byName = new Map(all.map((entry) => [`${entry.module}:${entry.name}`, entry]))
      byLast = Map.groupBy ? Map.groupBy(all, last) : all.reduce((map, e) => map.set(last(e), [...(map.get(last(e)) ?? []), e]), new Map())
    })
    .catch(() => (coming = null))) // the server is gone: the next wish asks again

  // "from mi_lib.models import HookedModel as H" → {H: "mi_lib.models:HookedModel"}; a module has no colon.
  const aliases = (text) => {
    const known = new Map([["mi_lib", "mi_lib"]])
    for (const [, module, names] of text.matchAll(/from (mi_lib[\w.]*) import (\([^)]*\)|[^\n#]*)/g)) {
      for (const [, name, as] of names.matchAll(/(\w+)(?:\s+as\s+(\w+))?/g)) known.set(as ?? name, `${module}:${name}`)
    }
    for (const [, module, as] of text.matchAll(/import (mi_lib[\w.]+) as (\w+)/g)) known.set(as, module)
    return known
  }
  const named = (module, name) => {
    if (byName.has(`${module}:${name}`)) return byName.get(`${module}:${name}`)
    // The same thing under another module's name: `mi_lib.models:load` for `mi_lib:load`. Never a deeper one's: entries
    // stand under the shortest, and `mi_lib:induction` is a module, not the function of that name below it.
    const same = (byLast.get(name) ?? []).filter((entry) => entry.kind !== "method")
    const near = same.filter((entry) => module.startsWith(`${entry.module}.`))
    return near.length === 1 ? near[0] : undefined
  }
  const method = (name) => {
    const all = (byLast.get(name) ?? []).filter((entry) => entry.kind === "method")
    return all.length === 1 ? all[0] : all.find((entry) => entry.name.startsWith("HookedModel."))
  }
  // What a chain such as "mi_lib.steering.add" or "model.run_with_cache" means in a file with these imports.
  const find = (text, chain) => {
    const [head, ...rest] = chain.split(".")
    const known = aliases(text).get(head)
    if (!known) return rest.length ? method(rest.at(-1)) : undefined
    const path = [...known.split(":"), ...rest].flatMap((part) => part.split("."))
    return named(path.slice(0, -1).join("."), path.at(-1)) ?? (rest.length ? method(rest.at(-1)) : undefined)
  }
  const ofLesson = (text) => {
    const [, chain, call] = text.match(/^([A-Za-z_][\w.]*)(\(.*)?$/s) ?? []
    if (chain?.startsWith("mi_lib.")) return find("", chain)
    if (!call) return undefined
    const name = chain.split(".").at(-1)
    const all = byLast.get(name) ?? []
    return all.length === 1 ? all[0] : chain.includes(".") ? method(name) : all.find((entry) => entry.module === "mi_lib")
  }

  // -- the bubble
  const bubble = element("div", "", "mi-library-bubble")
  bubble.hidden = true
  bubble.setAttribute("role", "tooltip")
  document.body.append(bubble)
  const hide = () => (bubble.hidden = true)
  const show = (entry, at) => {
    const about = element("small", imported(entry))
    bubble.replaceChildren(element("code", entry.signature), document.createTextNode(entry.first), document.createElement("br"), about)
    paint(bubble)
    bubble.hidden = false
    const size = bubble.getBoundingClientRect()
    const above = at.top - size.height - 6 // below the word is where one reads on
    bubble.style.left = `${Math.max(8, Math.min(at.left, innerWidth - size.width - 8))}px`
    bubble.style.top = `${above > 8 ? above : Math.min(at.bottom + 6, innerHeight - size.height - 8)}px`
  }

  // -- the search
  const dialog = document.createElement("dialog")
  dialog.className = "mi-library"
  dialog.setAttribute("aria-label", "Search the library")
  const field = document.createElement("input")
  Object.assign(field, { type: "search", placeholder: "a name, or a word of what it does", spellcheck: false, autocomplete: "off" })
  field.setAttribute("aria-label", "Search the library")
  const close = element("button", "Close")
  const said = element("p")
  said.setAttribute("role", "status")
  const list = document.createElement("ul")
  const header = document.createElement("header")
  const row = element("div", "", "row")
  row.append(field, close)
  header.append(row, said)
  dialog.append(header, list)
  document.body.append(dialog)

  const rank = (entry, words) => {
    const name = entry.name.toLowerCase()
    const whole = `${name} ${entry.module} ${entry.first} ${entry.signature} ${entry.rest}`.toLowerCase()
    if (!words.every((word) => whole.includes(word))) return -1
    const [word] = words
    const own = last(entry).toLowerCase()
    const place = own === word ? 0 : own.startsWith(word) ? 1 : name.includes(word) ? 2 : entry.first.toLowerCase().includes(word) ? 3 : 4
    return place * 100 + entry.module.split(".").length * 10 + (entry.kind === "method" ? 1 : 0)
  }
  const open = (item) => {
    const button = item.firstElementChild
    const before = button.getAttribute("aria-expanded") === "true"
    for (const other of list.querySelectorAll("pre")) other.remove()
    for (const other of list.querySelectorAll("button")) other.setAttribute("aria-expanded", "false")
    if (before) return
    const { entry } = item
    button.setAttribute("aria-expanded", "true")
    item.append(element("pre", [imported(entry), entry.rest].filter(Boolean).join("\n\n")))
    item.scrollIntoView({ block: "nearest" })
  }
  const search = () => {
    if (!entries) {
      said.textContent = coming ? "Reading the library …" : "The course's server does not answer. Is it still running?"
      return
    }
    const words = field.value.toLowerCase().split(/[\s.()]+/).filter(Boolean)
    const ranked = words.length ? entries.map((entry) => [rank(entry, words), entry]).filter(([place]) => place >= 0) : []
    ranked.sort(([a], [b]) => a - b)
    said.textContent = !words.length ? `${entries.length} functions, classes and methods. Type a part of a name, or a word of what it does.`
      : !ranked.length ? "Nothing in the library has this."
      : ranked.length > MOST ? `${ranked.length} found; these are the nearest ${MOST}.` : `${ranked.length} found.`
    list.replaceChildren(...ranked.slice(0, MOST).map(([, entry]) => {
      const item = document.createElement("li")
      const button = document.createElement("button")
      button.type = "button"
      button.setAttribute("aria-expanded", "false")
      button.append(element("code", entry.signature), document.createTextNode(entry.first + " "), element("small", entry.kind === "method" ? `${entry.module}.${entry.name.split(".")[0]}` : entry.module))
      button.addEventListener("click", () => open(item))
      item.entry = entry
      item.append(button)
      return item
    }))
    list.scrollTop = 0
  }
  const start = (word = "") => {
    hide()
    paint(dialog)
    if (!dialog.open) dialog.showModal()
    field.value = word
    field.select()
    const there = load() // first, so that the search knows that it is under way
    search()
    there.then(search)
  }
  field.addEventListener("input", search)
  close.addEventListener("click", () => dialog.close())
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close()) // beside it
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { // in a search field it would empty the field first
      event.preventDefault()
      dialog.close()
    }
    const buttons = [...list.querySelectorAll("li > button")]
    const at = buttons.indexOf(document.activeElement)
    const to = { ArrowDown: at + 1, ArrowUp: at - 1 }[event.key]
    if (to !== undefined) {
      event.preventDefault()
      if (to < 0) field.focus()
      else buttons[Math.min(to, buttons.length - 1)]?.focus()
    } else if (event.key === "Enter" && document.activeElement === field && list.firstElementChild) {
      event.preventDefault()
      open(list.firstElementChild)
    }
    event.stopPropagation() // Streamlit has keys of its own
  })

  const typing = (event) => {
    const target = event.composedPath()[0]
    return target instanceof Element && (target.matches("input, textarea, select") || target.isContentEditable)
  }
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") hide()
    const key = (event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey && event.key.toLowerCase() === "k"
    if (!key && (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || typing(event))) return
    event.preventDefault()
    if (!dialog.open) start(key ? wordAtCaret(event.composedPath()[0]) : "")
  })
  document.addEventListener("pointerover", (event) => {
    if (event.pointerType !== "mouse" || !(event.target instanceof Element)) return
    const code = event.target.closest("[data-testid=stMarkdownContainer] code")
    if (code) load().then(() => {
      const entry = code.matches(":hover") && ofLesson(code.textContent.trim())
      if (entry) show(entry, code.getClientRects()[0])
    })
    else if (!event.target.closest("[data-testid=stBidiComponentIsolated]")) hide()
  })
  document.addEventListener("scroll", hide, { capture: true, passive: true })
  return { load, find, show, hide, start, wordAtCaret }
}

// The name in a text area that is selected, or in which the caret stands.
function wordAtCaret(area) {
  if (!(area instanceof HTMLTextAreaElement)) return ""
  const { value, selectionStart: start, selectionEnd: end } = area
  if (end > start) return value.slice(start, end).slice(0, 80).split("\n")[0]
  return value.slice(0, start).match(/\w*$/)[0] + value.slice(start).match(/^\w*/)[0]
}

export default function (component) {
  if (window.miLibrary) return
  const style = document.createElement("style")
  style.textContent = STYLE
  document.head.append(style)
  window.miLibrary = make(component.data.address)
}
