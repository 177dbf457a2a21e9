// Checks that speedscope draws each call of a trace once, in its place and with its length.
//
// node speedscope.mjs PACKAGE DRAWN...: a file `NAME.drawn.json` has the expected drawing of
// `NAME.json` beside it: { "profile": [["frame", depth, microseconds], ...] }, in order of time.

import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import vm from 'node:vm'

const [directory, ...expectations] = process.argv.slice(2)

// The package is a page: one script that exports nothing and draws itself when it is loaded. This
// patches the script: it hands out its function that imports a file, and ends before it draws.
function importer() {
  const release = path.join(directory, 'dist/release')
  const file = fs.readdirSync(release).find(name => /^speedscope-.*\.js$/.test(name))
  const source = fs.readFileSync(path.join(release, file), 'utf8')
  const begins = 'console.log(`speedscope v${'
  const name = /async function (\w+)\(\w+,\w+\)\{return\(await \w+\)\.importProfileGroupFromText\(/
  const found = name.exec(source)
  assert(found && source.includes(begins), 'the script of another speedscope than 1.25.0')
  const script = source.replace(begins, () => `globalThis.imported=${found[1]};return;${begins}`)
  // Stands for everything that the page reads before it draws: every property exists and does nothing.
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
    // Rounded to a nanosecond, because speedscope calculates with doubles.
    frames.push([node.frame.name, depth, Math.round(node.getTotalWeight() * 1000) / 1000])
    node.children.forEach(child => visit(child, depth + 1))
  }
  profile.getAppendOrderCalltreeRoot().children.forEach(child => visit(child, 0))
  return frames
}

assert(expectations.length > 0, 'no traces')
const imported = importer()
const say = console.log
// Silenced: speedscope prints the format that it detects, and that an end has arguments of its own.
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
