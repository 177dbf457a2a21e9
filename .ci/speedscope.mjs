// Whether speedscope draws each call of a trace once, in its place, and as long as it was.
//
// node speedscope.mjs PACKAGE DRAWN...: a file `NAME.drawn.json` says what speedscope is to make of
// `NAME.json` beside it: { "profile": [["frame", depth, microseconds], ...] }, in order of time.

import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import vm from 'node:vm'

const [directory, ...expectations] = process.argv.slice(2)

// The package is a page: one script that exports nothing and draws itself when it is loaded. So its
// own function that imports a file is handed out, and it ends where it would begin to draw.
function importer() {
  const release = path.join(directory, 'dist/release')
  const file = fs.readdirSync(release).find(name => /^speedscope-.*\.js$/.test(name))
  const source = fs.readFileSync(path.join(release, file), 'utf8')
  const begins = 'console.log(`speedscope v${'
  const name = /async function (\w+)\(\w+,\w+\)\{return\(await \w+\)\.importProfileGroupFromText\(/
  const found = name.exec(source)
  assert(found && source.includes(begins), 'the script of another speedscope than 1.25.0')
  const script = source.replace(begins, () => `globalThis.imported=${found[1]};return;${begins}`)
  // What the page looks at before it draws: whatever it is, it is there and does nothing.
  const anything = new Proxy(function () {}, {
    get: (_, name) => (name === Symbol.toPrimitive ? () => '' : anything),
    apply: () => anything,
    construct: () => anything,
  })
  const location = { hash: '', href: '', search: '' }
  const page = { window: anything, document: anything, self: globalThis, location }
  for (const [name, value] of Object.entries(page)) {
    Object.defineProperty(globalThis, name, { value, configurable: true })
  }
  vm.runInThisContext(script, { filename: file })
  return globalThis.imported
}

function drawn(profile) {
  const frames = []
  const visit = (node, depth) => {
    // To the nanosecond: speedscope reckons with doubles.
    frames.push([node.frame.name, depth, Math.round(node.getTotalWeight() * 1000) / 1000])
    node.children.forEach(child => visit(child, depth + 1))
  }
  profile.getAppendOrderCalltreeRoot().children.forEach(child => visit(child, 0))
  return frames
}

assert(expectations.length > 0, 'no traces')
const imported = importer()
const say = console.log
// It reports what it takes the file for, and that a call's end has arguments that its start has not.
console.log = console.warn = () => {}
for (const file of expectations) {
  const expected = JSON.parse(fs.readFileSync(file, 'utf8'))
  const trace = file.replace(/\.drawn\.json$/, '.json')
  const group = await imported(path.basename(trace), fs.readFileSync(trace, 'utf8'))
  assert(group, `${trace}: not known to speedscope`)
  const profiles = group.profiles.map(profile => [profile.getName(), drawn(profile)])
  assert.deepEqual(Object.fromEntries(profiles), expected, trace)
  const calls = profiles.map(([, frames]) => frames.length)
  say(`${trace}: ${profiles.length} profiles, ${calls.reduce((a, b) => a + b, 0)} calls`)
}
