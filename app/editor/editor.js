// A code editor over a plain text area: colours lie behind it, and every change goes through execCommand, so that the
// browser's own undo keeps working. The text is sent to Python shortly after typing stops, on blur, and with Check. Until
// Python has it, the browser keeps a copy, so that a closed tab or a stopped server loses nothing.
//
// Streamlit gathers whatever is reported within one turn of the browser into one message. A message in which a fragment
// has a part runs that fragment alone, so a tap on a button elsewhere that is gathered with our text would be lost. Hence
// a tap that comes while text is unsent waits until Python has the text, or for as long as a person does not notice.

const KEYWORDS =
  "and|as|assert|async|await|break|class|continue|def|del|elif|else|except|finally|for|from|global|if|import|in|is|" +
  "lambda|nonlocal|not|or|pass|raise|return|try|while|with|yield|None|True|False|match|case"
const TOKENS = new RegExp(
  [
    String.raw`("""[\s\S]*?(?:"""|$)|'''[\s\S]*?(?:'''|$)|[rfbuRFBU]{0,2}"(?:\\.|[^"\\\n])*"?|[rfbuRFBU]{0,2}'(?:\\.|[^'\\\n])*'?)`,
    String.raw`(#[^\n]*)`,
    String.raw`\b(${KEYWORDS})\b`,
    String.raw`\b(\d[\d_]*(?:\.\d+)?(?:e[+-]?\d+)?)\b`,
    String.raw`(?<=\b(?:def|class)\s+)(\w+)`,
  ].join("|"),
  "g",
)
const PAIRS = { "(": ")", "[": "]", "{": "}", '"': '"', "'": "'" }
const SEND_AFTER_MS = 700
const LONGEST_PRESS_MS = 1500 // whoever holds a button down for longer is not tapping
const LONGEST_WAIT_MS = 500 // of a tap

const escape = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;")

// The text as rows: a box for each line, which is as high as the line when it wraps, so that its number stands beside
// it. A token of several lines is cut at their ends.
function coloured(text, first) {
  let html = ""
  let last = 0
  for (const m of text.matchAll(TOKENS)) {
    const kind = ["s", "c", "k", "n", "d"][m.slice(1).findIndex((group) => group !== undefined)]
    const pieces = m[0].split("\n").map((piece) => piece && `<span class="${kind}">${escape(piece)}</span>`)
    html += escape(text.slice(last, m.index)) + pieces.join("\n")
    last = m.index + m[0].length
  }
  const lines = (html + escape(text.slice(last))).split("\n")
  return lines.map((line, i) => `<div data-line="${first + i}">${line || "&#8203;"}</div>`).join("")
}

// Empty lines around an answer belong to the file's layout, and Python leaves them out.
const same = (a, b) => (a ?? "").replace(/^\n+|\n+$/g, "") === (b ?? "").replace(/^\n+|\n+$/g, "")

function isDark(element) {
  const colour = getComputedStyle(element).getPropertyValue("--st-background-color").trim()
  const hex = colour.match(/^#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})/i)
  const rgb = hex ? hex.slice(1).map((h) => parseInt(h, 16)) : (colour.match(/\d+/g) || [255, 255, 255]).map(Number)
  return rgb[0] + rgb[1] + rgb[2] < 384
}

// The browser's copy of what was typed and is not yet known to be in the file: {text, base}, or null.
function draft(name, value) {
  try {
    if (value === null) localStorage.removeItem(name)
    else if (value) localStorage.setItem(name, JSON.stringify(value))
    return JSON.parse(localStorage.getItem(name))
  } catch {
    return null // a private window, or a full store: the copy is a second net, not the first
  }
}

function attach(root, component) {
  const area = root.querySelector("textarea")
  const back = root.querySelector(".colours")
  const editor = { version: null, synced: null, number: 0, adopted: 0, timer: 0, escaped: false, component }
  editor.pressed = -Infinity // when a mouse button or finger went down elsewhere and is not up yet
  editor.heard = 0 // the highest number that Python has told us of
  editor.waiting = new Set() // taps, as functions that let them go

  const draw = () => {
    back.innerHTML = coloured(area.value, editor.first)
    const digits = String(editor.first + area.value.split("\n").length).length
    root.querySelector(".paper").style.setProperty("--gutter", `${digits + 2}ch`)
    root.querySelector(".editor").classList.toggle("dark", isDark(root.querySelector(".editor")))
    root.querySelector(".below").classList.toggle("dark", isDark(root.querySelector(".editor")))
  }
  const insert = (text) => document.execCommand("insertText", false, text) || area.setRangeText(text, area.selectionStart, area.selectionEnd, "end")
  const outgoing = () => {
    editor.synced = area.value
    editor.number += 1
    return { text: area.value, base: editor.version, number: editor.number, adopt: editor.adopted }
  }
  const send = () => {
    clearTimeout(editor.timer)
    if (area.value !== editor.synced) editor.component.setStateValue("draft", outgoing())
  }
  const sendLater = (ms) => {
    clearTimeout(editor.timer)
    editor.timer = setTimeout(() => (pressed() ? sendLater(100) : send()), ms)
  }
  const pressed = () => performance.now() - editor.pressed < LONGEST_PRESS_MS
  const check = () => {
    clearTimeout(editor.timer)
    editor.component.setTriggerValue("check", outgoing())
    lookAtOutcome(shownOutcome()?.className)
  }
  // What comes of it stands below the editor, often out of sight: when it comes, bring it into view.
  const shownOutcome = () => document.querySelector(`[class*="st-key-${editor.outcome}-"]`)
  const lookAtOutcome = (old, tries = 150) => {
    const outcome = shownOutcome()
    if (outcome && outcome.className !== old) outcome.scrollIntoView({ block: "nearest", behavior: "smooth" })
    else if (tries && editor.attached) setTimeout(() => lookAtOutcome(old, tries - 1), 200)
  }

  // Taps elsewhere. Nothing is sent between down and up: the page could move under the finger.
  const inside = (event) => event.composedPath().includes(root)
  const released = new WeakSet() // taps that have waited
  const elsewhere = {
    pointerdown: (event) => {
      if (!inside(event)) editor.pressed = performance.now()
    },
    pointerup: () => {
      editor.pressed = -Infinity
      if (area.value !== editor.synced) sendLater(0)
    },
    pointercancel: () => elsewhere.pointerup(),
    click: (event) => {
      editor.pressed = -Infinity
      if (inside(event) || released.has(event)) return
      send()
      if (editor.number <= editor.heard) return
      event.preventDefault()
      event.stopImmediatePropagation()
      const target = event.composedPath()[0]
      const letGo = () => {
        if (editor.waiting.delete(letGo)) setTimeout(() => {
          const again = new MouseEvent("click", event)
          released.add(again)
          target.dispatchEvent(again)
        }, 0)
      }
      editor.waiting.add(letGo)
      setTimeout(letGo, LONGEST_WAIT_MS)
    },
  }
  for (const [name, listener] of Object.entries(elsewhere)) window.addEventListener(name, listener, true)
  editor.attached = true
  editor.detach = () => {
    editor.attached = false
    clearTimeout(editor.timer)
    for (const letGo of editor.waiting) letGo()
    for (const [name, listener] of Object.entries(elsewhere)) window.removeEventListener(name, listener, true)
  }
  // Change whole lines of the selection: used by Tab, Shift-Tab and the comment key.
  const lines = (change) => {
    const from = area.value.lastIndexOf("\n", area.selectionStart - 1) + 1
    const end = area.value.indexOf("\n", Math.max(area.selectionEnd - (area.selectionEnd > area.selectionStart ? 1 : 0), from))
    const to = end < 0 ? area.value.length : end
    const caret = area.selectionStart === area.selectionEnd
    const old = area.value.slice(from, to)
    const changed = change(old.split("\n")).join("\n")
    const at = area.selectionStart + (changed.length - old.length)
    area.setSelectionRange(from, to)
    insert(changed)
    if (caret) area.setSelectionRange(Math.max(from, at), Math.max(from, at))
    else area.setSelectionRange(from, from + changed.length)
  }

  // The name under the mouse, as far as it goes: of `steering.add` under "steering" that, under "add" both. Text lies in
  // the colours; a string and a comment say nothing of the library.
  const nameAt = (x, y) => {
    const inside = (box) => x >= box.left && x <= box.right && y >= box.top && y < box.bottom
    const row = [...back.children].find((each) => inside(each.getBoundingClientRect()))
    const walker = row && document.createTreeWalker(row, NodeFilter.SHOW_TEXT)
    let before = ""
    while (walker?.nextNode()) {
      const node = walker.currentNode
      for (const m of node.parentElement.matches(".s, .c") ? [] : node.data.matchAll(/[A-Za-z_]\w*/g)) {
        const range = document.createRange()
        range.setStart(node, m.index)
        range.setEnd(node, m.index + m[0].length)
        const box = [...range.getClientRects()].find(inside)
        if (box) return { chain: (before + node.data.slice(0, m.index)).match(/[\w.]*$/)[0] + m[0], box }
      }
      before += node.data
    }
    return null
  }
  let looking = 0
  const look = (event) => {
    const { clientX, clientY, pointerType } = event
    cancelAnimationFrame(looking)
    const library = window.miLibrary
    if (!library || pointerType !== "mouse") return
    looking = requestAnimationFrame(async () => {
      const name = nameAt(clientX, clientY)
      if (name) await library.load()
      const entry = name && library.find(`${editor.imports}\n${area.value}`, name.chain)
      if (entry) library.show(entry, name.box)
      else library.hide()
    })
  }
  area.addEventListener("pointermove", look)
  area.addEventListener("pointerleave", () => {
    cancelAnimationFrame(looking)
    window.miLibrary?.hide()
  })
  root.querySelector(".library").addEventListener("click", () => window.miLibrary?.start(window.miLibrary.wordAtCaret(area)))

  const keys = (event) => {
    const meta = event.ctrlKey || event.metaKey
    const { selectionStart: start, selectionEnd: end, value } = area
    const leaving = editor.escaped
    editor.escaped = event.key === "Escape" || (leaving && event.key === "Shift")
    if (meta && event.key === "Enter") {
      event.preventDefault()
      check()
    } else if (meta && event.key === "/") {
      event.preventDefault()
      lines((all) => {
        const full = all.filter((line) => line.trim())
        const off = full.length && full.every((line) => /^\s*#/.test(line))
        return all.map((line) => (!line.trim() ? line : off ? line.replace(/^(\s*)# ?/, "$1") : line.replace(/^(\s*)/, "$1# ")))
      })
    } else if (event.key === "Tab" && !meta && !event.altKey && !leaving) {
      event.preventDefault()
      if (event.shiftKey) lines((all) => all.map((line) => line.replace(/^ {1,4}/, "")))
      else if (value.slice(start, end).includes("\n")) lines((all) => all.map((line) => (line ? "    " + line : line)))
      else {
        const column = start - (value.lastIndexOf("\n", start - 1) + 1)
        insert(" ".repeat(4 - (column % 4)))
      }
    } else if (event.key === "Enter" && !meta && !event.altKey) {
      event.preventDefault()
      const line = value.slice(value.lastIndexOf("\n", start - 1) + 1, start)
      insert("\n" + line.match(/^\s*/)[0] + (/:\s*(#.*)?$/.test(line) ? "    " : ""))
    } else if (event.key === "Backspace" && start === end && !meta) {
      const line = value.slice(value.lastIndexOf("\n", start - 1) + 1, start)
      if (PAIRS[value[start - 1]] && PAIRS[value[start - 1]] === value[start]) {
        event.preventDefault()
        area.setSelectionRange(start - 1, start + 1)
        document.execCommand("delete")
      } else if (line && !line.trim() && line.length % 4 === 0) {
        event.preventDefault()
        area.setSelectionRange(start - 4, start)
        document.execCommand("delete")
      }
    } else if (!meta && !event.altKey && event.key.length === 1) {
      const closing = Object.values(PAIRS).includes(event.key)
      if (closing && start === end && value[start] === event.key) {
        event.preventDefault()
        area.setSelectionRange(start + 1, start + 1)
      } else if (PAIRS[event.key] && start !== end) {
        event.preventDefault()
        const inside = value.slice(start, end)
        insert(event.key + inside + PAIRS[event.key])
        area.setSelectionRange(start + 1, start + 1 + inside.length)
      } else if (PAIRS[event.key] && /^[\s)\]},:]?$/.test(value[start] || "") && !(/["']/.test(event.key) && /\w|["']/.test(value[start - 1] || ""))) {
        event.preventDefault()
        insert(event.key + PAIRS[event.key])
        area.setSelectionRange(start + 1, start + 1)
      }
    }
  }
  const changed = () => {
    draw()
    draft(editor.name, { text: area.value, base: editor.version })
    sendLater(SEND_AFTER_MS)
  }
  area.addEventListener("keydown", keys)
  area.addEventListener("input", changed)
  area.addEventListener("blur", () => pressed() || send())
  root.querySelector(".check").addEventListener("click", check)

  // What Python says is in the file. Text that was typed and not yet sent is never replaced: the base version stays
  // old then, and Python will notice the conflict and ask. While text is on its way to Python, what Python says is old.
  editor.receive = (data) => {
    editor.first = data.first_line
    editor.name = data.name
    editor.outcome = data.outcome
    editor.imports = data.imports
    root.querySelector(".check").textContent = data.action
    root.querySelector(".library").hidden = data.outcome !== "verdict" // one of them is enough for two editors
    area.setAttribute("aria-label", data.label)
    const opened = editor.version === null
    const late = data.heard < editor.number // a number of null counts as 0
    const known = same(data.text, editor.synced)
    const kept = opened && draft(data.name)
    if (opened || data.adopt > editor.adopted || (!late && !data.hold && !known && area.value === editor.synced)) {
      area.value = data.text
      editor.synced = data.text
      editor.version = data.version
    } else if (late && data.heard === null) {
      editor.synced = null // the server was started anew, or is slow: send once more
      sendLater(SEND_AFTER_MS)
    } else if (!late && !data.hold && known) editor.version = data.version
    if (kept && !same(kept.text, data.text)) {
      area.value = kept.text
      editor.synced = null
      editor.version = kept.base
      sendLater(0)
    } else if (same(area.value, data.text)) draft(data.name, null)
    editor.number = Math.max(editor.number, data.heard)
    editor.heard = Math.max(editor.heard, data.heard)
    if (editor.number <= editor.heard) for (const letGo of editor.waiting) letGo()
    editor.adopted = data.adopt
    draw()
  }
  return editor
}

export default function (component) {
  const root = component.parentElement
  if (!root.editorState) root.editorState = attach(root, component)
  root.editorState.component = component
  root.editorState.receive(component.data)
  return root.editorState.detach
}
