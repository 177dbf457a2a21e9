// Checks that every page of a recorder shows the right figures in a browser: requests are sent to the
// example service, and Chromium reads its pages.
//
// node browser.mjs PACKAGES SERVICE SCREENSHOTS PICTURES
//
// PICTURES lists what the pages in the documents' pictures consist of. The pictures are made again with the
// screenshots; if a page consists of something else now, this fails.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import { createRequire } from 'node:module'

const [packages, service, screenshots, pictures] = process.argv.slice(2)
const require = createRequire(path.join(packages, 'node_modules/'))
const { chromium } = require('playwright-core')
const axe = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8')

const LAPTOP = { width: 1280, height: 900 }
const PHONE = { width: 390, height: 844 }
const PATIENCE = 20_000

// ---- The service ----

// The services end with this process, however it ends.
const children = []
process.on('exit', () => children.forEach(child => child.kill()))
process.on('SIGTERM', () => process.exit(1))

async function serve(...options) {
  const child = spawn(service, ['--serve', '127.0.0.1:0', ...options], { stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  let said = ''
  child.stdout.on('data', bytes => (said += bytes))
  const found = await until('the address of the service', () => /listening on (http:\S+)\/message[^]*traces: (\S+)/.exec(said))
  const [, base, address] = found
  const token = new URL(address).searchParams.get('token')
  return { child, base, address, traces: address.split('?')[0], authorized: { headers: { Authorization: `Bearer ${token}` } } }
}

async function until(what, isThere) {
  const end = Date.now() + PATIENCE
  while (Date.now() < end) {
    const found = await isThere()
    if (found) return found
    await new Promise(resolve => setTimeout(resolve, 20))
  }
  throw new Error(`no ${what} within ${PATIENCE} ms`)
}

const post = (site, body, id) =>
  fetch(`${site.base}/message`, { method: 'POST', headers: { 'X-Request-Id': id }, body })

// ---- The browser ----

/// Opens a tab that notes every error of its console and every origin that it sends requests to.
async function open(browser, site, options) {
  const context = await browser.newContext(options)
  const page = await context.newPage()
  const wrong = []
  page.setDefaultTimeout(PATIENCE)
  page.on('console', message => ['error', 'warning'].includes(message.type()) && wrong.push(message.text()))
  page.on('pageerror', error => wrong.push(String(error)))
  page.on('dialog', dialog => wrong.push(`a dialog: ${dialog.message()}`) && dialog.dismiss())
  page.on('requestfailed', request => {
    // A download and a page that was left are not failures.
    if (request.failure().errorText !== 'net::ERR_ABORTED') wrong.push(`${request.url()}: ${request.failure().errorText}`)
  })
  const asked = new Set()
  page.on('request', request => asked.add(new URL(request.url()).origin))
  // Like a person, by the address that the service prints.
  await page.goto(site.address)
  assert.equal(page.url(), site.traces)
  return { context, page, wrong, asked }
}

/// Follows every link from the recorder's page on, at most `most` of each kind. Downloads are fetched.
async function everyPage(tab, site, most, look) {
  const places = []
  const kind = url => new URL(url).pathname.replace(/\d+/, 'N')
  const seen = new Set()
  const counted = new Map()
  const next = [site.traces]
  while (next.length > 0) {
    const url = next.shift()
    if (seen.has(url)) continue
    seen.add(url)
    const number = (counted.get(kind(url)) ?? 0) + 1
    if (number > most) continue
    counted.set(kind(url), number)
    if (/\/metrics$|\/trace\/\d+\/(?!compare$)[\w-]+$/.test(url)) {
      const answer = await fetch(url, site.authorized)
      assert.equal(answer.status, 200, url)
      const content = await answer.text()
      assert.notEqual(content, '', url)
      if (/json/.test(answer.headers.get('content-type'))) JSON.parse(content)
      continue
    }
    const answer = await tab.page.goto(url)
    assert.equal(answer.status(), 200, url)
    // In SVG, `href` is an object.
    const links = await tab.page.$$eval('a[href]', all => all.map(it => it.href.baseVal ? new URL(it.href.baseVal, document.baseURI).href : it.href))
    for (const link of links) assert(link.startsWith(site.traces), `${url} leads to ${link}`)
    for (const link of links) {
      const [page, place] = link.split('#')
      if (place) places.push([page, place])
      next.push(page)
    }
    await look?.(url)
  }
  for (const [url, place] of places.slice(-most)) {
    await tab.page.goto(url)
    assert.equal(await tab.page.$$eval(`#${place}`, all => all.length), 1, `${url}#${place}`)
  }
  return counted
}

/// Checks accessibility: https://github.com/dequelabs/axe-core
async function accessible(page, url) {
  await page.evaluate(axe)
  // Only a page that was asked to reload itself does, and it has a link to stop that.
  const isAsked = new URL(page.url()).searchParams.has('refresh')
  const rules = { 'meta-refresh': { enabled: !(isAsked && await page.locator('a:text-is("Stop")').count() === 1) } }
  const { violations } = await page.evaluate(rules => globalThis.axe.run({ rules }), rules)
  const told = violations.map(it => `${it.id}: ${it.help}: ${it.nodes[0].html}: ${it.nodes[0].failureSummary}`)
  assert.deepEqual(told, [], url)
}

// ---- Figures ----

const UNITS = { ns: 1, µs: 1e3, ms: 1e6, s: 1e9, B: 1, KiB: 1024, MiB: 1024 ** 2 }

/// Whether a text such as `12.3 ms` or `1,234` is this figure, rounded.
function assertShown(text, figure, what) {
  const found = /^([\d,]+(?:\.(\d+))?)(?: (\S+))?$/.exec(text)
  assert(found, `${what}: ${text}`)
  const unit = found[3] ? UNITS[found[3]] : 1
  const half = (unit / 10 ** (found[2]?.length ?? 0)) * 0.5
  const shown = Number(found[1].replaceAll(',', '')) * unit
  assert(Math.abs(shown - figure) <= half * 1.0001, `${what}: shown as ${text}, is ${figure}`)
}

/// Returns the first line of each cell, by row, of the first table. Usual figures stand below it.
const cells = page =>
  page.$$eval('main table tbody tr', rows =>
    rows.map(row => [...row.cells].map(cell => cell.innerText.split('\n')[0].trim())))

async function assertTraceIsItsJson(page, site, url) {
  const report = await (await fetch(`${url}/json`, site.authorized)).json()
  const rows = await cells(page)
  assert.equal(rows.length, report.calls.length, url)
  const sum = counts => counts.allocations + (counts.reallocations ?? 0)
  report.calls.forEach((call, index) => {
    const [name, , time, self, allocates, own, bytes, , peak] = rows[index]
    assert(name.startsWith(call.name), `${name} is ${call.name}`)
    assertShown(time, call.wall_ns, `${url}: time`)
    assertShown(self, call.self_busy_ns, `${url}: self`)
    assertShown(allocates, sum(call.total), `${url}: allocates`)
    assertShown(own, sum(call.self), `${url}: own`)
    assertShown(bytes, call.total.bytes_allocated, `${url}: bytes`)
    assertShown(peak, call.peak_bytes, `${url}: peak`)
  })
  return report
}

// ---- Scenarios ----

/// From a request's id to its failed line, and from a group of failures to the newest one, by mouse and keyboard.
async function investigated(page, site) {
  const asJson = async path => (await fetch(`${site.traces}${path}`, { headers: { ...site.authorized.headers, Accept: 'application/json' } })).json()
  await page.goto(`${site.traces}/id/failed`)
  assert.match(page.url(), /\/trace\/\d+$/)
  assert.equal(await page.innerText('h1'), 'POST /message failed')
  assert.match(await page.innerText('tr:has(.bad)'), /failed: /)
  const trace = page.url()

  await page.goto(site.traces)
  await page.click('nav a:text-is("Search")')
  await page.focus('input[name=id]')
  await page.keyboard.type('failed')
  await page.keyboard.press('Enter')
  await page.waitForURL(/[?&]id=failed/)
  assert.match(await page.innerText('#found'), /^1 kept request in memory\.$/)
  assert.equal(await page.inputValue('input[name=id]'), 'failed')
  await page.focus('table.found tbody a')
  await page.keyboard.press('Enter')
  await page.waitForURL(trace)

  // The address is the state: back to what was found.
  await page.goBack()
  assert.match(await page.innerText('#found'), /^1 kept request/)
  await page.click('a:text-is("Clear")')
  await page.click('thead a:text-is("Time")')
  await page.waitForURL(/sort=wall&order=descending/)
  const sorted = await asJson('/search?sort=wall&order=descending')
  assert.equal(sorted.matched, 34)
  const walls = sorted.requests.map(it => it.request.wall_ns)
  assert.deepEqual(walls, [...walls].sort((one, other) => other - one))
  const rows = await cells(page)
  assert.equal(rows.length, 34)
  rows.forEach((row, index) => assertShown(row[2], walls[index], `${page.url()}: time`))
  assert.equal(await page.getAttribute('thead th:nth-child(3)', 'aria-sort'), 'descending')

  // What a visitor types stays a text.
  await page.fill('input[name=text]', HOSTILE)
  await page.click('form button')
  await page.waitForURL(/text=/)
  assert.equal(await page.inputValue('input[name=text]'), HOSTILE)
  assert.equal(await page.$$eval('script, img', all => all.length), 0)

  const { groups } = await asJson('/failures')
  assert.equal(groups.length, 1)
  await page.click('nav a:text-is("Failures")')
  const [[message, kept]] = await cells(page)
  assert.deepEqual([message, kept], [groups[0].message, '1'])
  await page.click('a:text-is("newest")')
  await page.waitForURL(`${site.traces}/trace/${groups[0].newest}`)
  await page.goBack()
  await page.click('table.failures th a')
  await page.waitForURL(/\/search\?route=.*&failure=/)
  assert.match(await page.innerText('#found'), /^1 kept request/)
  assert.match(await page.innerText('form'), /Failure: /)
  // Another search keeps the failure.
  await page.click('form button')
  await page.waitForURL(/failure=/)
  assert.match(await page.innerText('#found'), /^1 kept request/)
  await page.goto(trace)
}

const HOSTILE = `<script>alert(1)</script><img src=x onerror=alert(2)>"'&`

/// Known requests, all of them kept: the page shows exactly these.
async function known(browser) {
  const site = await serve()
  const good = JSON.stringify({ author: 'gopher', text: 'dead simple', tags: [] })
  for (let number = 0; number < 30; number++) assert.equal((await post(site, good, `good-${number}`)).status, 201)
  assert.equal((await post(site, good, HOSTILE)).status, 201)
  assert.equal((await post(site, JSON.stringify({ author: 1, text: `\u001b[2J${HOSTILE}` }), 'malformed')).status, 400)
  assert.equal((await post(site, JSON.stringify({ author: HOSTILE, text: '', tags: `\u001b[2J${HOSTILE}` }), 'hostile')).status, 400)
  assert.equal((await post(site, JSON.stringify({ author: '', text: '' }), 'failed')).status, 500)

  const tab = await open(browser, site, { viewport: LAPTOP })
  const { page } = tab
  await page.goto(site.traces)
  await until('last request', async () => (await page.reload(), await page.innerText('#kept')) === '34')
  assert.equal(await page.innerText('#ended'), '34')
  const [route] = await cells(page)
  assert.deepEqual(route.slice(0, 3), ['POST /message', '34', '1'])
  const buckets = await page.$$eval('.buckets b', all => all.map(it => Number(it.innerText)))
  assert.equal(buckets.reduce((sum, it) => sum + it), 34)

  // From the overview to a request, by links.
  await page.click('table.failures a:text-is("newest")')
  assert.match(await page.innerText('h1'), /^POST \/message failed$/)
  assert.match(await page.innerText('ul.facts'), /failed/)
  let report = await assertTraceIsItsJson(page, site, page.url())
  assert.equal(report.request.id, 'failed')
  assert.equal(report.request.outcome.failed !== undefined || report.request.outcome === 'failed', true)
  await page.click('h1 a')
  assert.equal(await page.innerText('h1'), 'POST /message')
  assert.equal(await page.$$eval('h2[id^=kept] + .wide tbody tr', all => all.length), 34)
  await page.goBack()
  await page.click('summary')
  const text = await page.inputValue('textarea')
  assert.equal(`${text}\n`, await (await fetch(`${page.url()}/text`, site.authorized)).text())
  const [download] = await Promise.all([page.waitForEvent('download'), page.click('a:text-is("chrome")')])
  assert.match(download.suggestedFilename(), /^trace-\d+\.trace\.json$/)
  const events = JSON.parse(fs.readFileSync(await download.path(), 'utf8')).traceEvents
  assert.equal(events.filter(it => it.ph === 'B').length, report.calls.length)

  await investigated(page, site)

  const shown = new Set()
  await everyPage(tab, site, 50, async url => {
    if (/\/trace\/\d+$/.test(url)) shown.add((await assertTraceIsItsJson(page, site, url)).request.id)
    // Text from outside makes no elements.
    assert.equal(await page.$$eval('script, img, b[onclick]', all => all.length), 0, url)
    assert(!(await page.content()).includes('\u001b'), url)
  })
  assert.equal(shown.size, 34)
  assert(shown.has(HOSTILE))
  await page.goto(`${site.traces}/route?name=POST%20%2Fmessage`)
  const everything = await page.innerText('main')
  assert(everything.includes(HOSTILE), everything)

  // From an alert's minute to the slow request, by keyboard.
  await page.goto(site.traces)
  const slowest = await page.getAttribute('h2:text("Slowest") + * a', 'href')
  await page.locator('.routes a[href$="#minutes"]').press('Enter')
  await page.waitForURL(/#minutes$/)
  const mark = page.locator('figure').filter({ hasText: 'p99' }).locator(`a[href="${slowest}"]`)
  const of = await (await fetch(`${new URL(slowest, site.base)}/json`, site.authorized)).json()
  const end = new Date((of.started_unix_ns + of.request.wall_ns) / 1e6)
  // Time zones differ by whole minutes.
  const minute = String(end.getUTCMinutes()).padStart(2, '0')
  assert.match(await mark.getAttribute('aria-label'), new RegExp(`^\\d\\d:${minute} [\\d.,]+ (µs|ms|s) `))
  await mark.press('Enter')
  await page.waitForURL(url => url.pathname === slowest)
  await page.click('ul.facts a[href*="trace="]')
  assert.equal(await page.$$eval('line.here', all => all.length), 4)

  // Two requests by their numbers.
  await page.goto(site.traces)
  const trace = await page.getAttribute('a:text-is("newest")', 'href')
  await page.goto(new URL(slowest, site.base).href)
  await page.fill('input[name=b]', trace.split('/').at(-1))
  await page.press('input[name=b]', 'Enter')
  await page.waitForURL(/compare/)
  assert.equal(await page.innerText('h1'), 'Comparison')
  assert.deepEqual(await page.$$eval('table.list th a', all => all.map(it => it.pathname)), [slowest, trace])

  // Links zoom into the flame graph.
  await page.goto(`${site.traces}/hotspots?by=self-allocations`)
  const bar = page.locator('svg.flames a').filter({ hasText: 'fetch_data' }).last()
  const width = async () => (await bar.boundingBox()).width
  const before = await width()
  await bar.click()
  await page.waitForURL(/at=/)
  assert(await width() > 1.5 * before, `${before} pixels wide, and then ${await width()}`)
  await page.click('a:text("Zoom out")')
  await page.waitForURL(url => !url.search.includes('at='))
  assert.equal(await width(), before)

  // The page in flight updates itself if it is asked to.
  const socket = net.connect(new URL(site.base).port, '127.0.0.1')
  await page.goto(`${site.traces}/in-flight`)
  assert.match(await page.innerText('main'), /No request is in flight/)
  assert.equal(await page.$$eval('meta[http-equiv]', all => all.length), 0)
  await page.click('a:text-is("Load again every 2 s")')
  await page.waitForURL(/in-flight\?refresh=2$/)
  socket.write('POST /message HTTP/1.1\r\nhost: localhost\r\nx-request-id: slow\r\ncontent-length: 99\r\n\r\n{')
  await until('request in flight', async () => /slow[^]*handle/.test(await page.innerText('main').catch(() => '')))
  socket.destroy()
  await until('end of it', async () => /No request is in flight/.test(await page.innerText('main').catch(() => '')))
  await page.click('a:text-is("Stop")')
  await page.waitForURL(/in-flight$/)
  await page.goto(site.traces)
  await page.click('h2:text("Slowest") + * a')
  assert.equal(await page.innerText('h1'), 'POST /message slow')
  assert.match((await cells(page))[0].at(-1), /^(failed: .+|cancelled)$/)

  assert.deepEqual(tab.wrong, [])
  // The browser has sent requests to no other origin.
  assert.deepEqual([...tab.asked], [new URL(site.base).origin])

  // Wrong addresses get an error, which looks like the other pages.
  for (const [wrong, status] of [['trace/7x', 400], ['trace/99999999', 404], ['hotspots?by=%3Cb%3E', 400], ['search?since=%3Cb%3E', 400], ['id/%3Cb%3E', 404], ['route?name=%3Cb%3E', 404], ['compare?a=%3Cb%3E&b=1', 400], ['trace/99999999/compare', 404]]) {
    assert.equal((await page.goto(`${site.traces}/${wrong}`)).status(), status, wrong)
    assert.match(await page.innerText('h1'), new RegExp(`^${status} `))
    assert.equal(await page.$$eval('main b', all => all.length), 0)
  }
  await tab.context.close()

  // A visitor without the token is asked for it, and gets in with it.
  const context = await browser.newContext({ viewport: LAPTOP })
  const stranger = await context.newPage()
  assert.equal((await stranger.goto(`${site.traces}/hotspots`)).status(), 401)
  assert.equal(await stranger.$$eval('a, link', all => all.length), 0)
  await accessible(stranger, `${site.traces}/hotspots`)
  await stranger.fill('input', new URL(site.address).searchParams.get('token'))
  await stranger.click('button')
  await stranger.waitForURL(`${site.traces}/hotspots`)
  assert.equal(await stranger.innerText('h1'), 'Hotspots')
  assert.equal(await stranger.evaluate(() => document.cookie), '')
  await context.close()
  site.child.kill()
}

/// A request that allocates more than usual arms its route, and the next ones show which lines allocate.
async function armed(browser) {
  const site = await serve()
  const message = tags => JSON.stringify({ author: 'gopher', text: 'dead simple', tags: Array(tags).fill('tag') })
  for (let number = 0; number < 30; number++) assert.equal((await post(site, message(2), `usual-${number}`)).status, 201)
  const tab = await open(browser, site, { viewport: LAPTOP })
  const { page } = tab
  const route = `${site.traces}/route?name=POST%20%2Fmessage`
  const says = async what => (await page.goto(route), what.test(await page.innerText('main')))
  await until('end of the usual ones', () => says(/Ended 30\b/))
  assert.equal(await page.$$eval('#armed', all => all.length), 0)
  assert.equal((await post(site, message(5000), 'unusual')).status, 201)
  await until('armed route', () => says(/armed, 0 of 20/))
  for (let number = 0; number < 20; number++) assert.equal((await post(site, message(2), `armed-${number}`)).status, 201)
  await until('lines of 20 requests', () => says(/Armed \(20\)/))
  await page.screenshot({ path: path.join(screenshots, 'armed-route.png'), fullPage: true })

  // The lines of all of them.
  await page.click('a:text("Lines that allocate")')
  const all = await page.$$eval('[aria-label="Lines"] tbody tr', rows => rows.map(row => row.innerText))
  assert(all.some(line => /examples\/service\.rs:\d+\s/.test(line)), all.join('\n'))
  await accessible(page, page.url())
  await page.screenshot({ path: path.join(screenshots, 'armed-lines.png'), fullPage: true })

  // Those of one request: the three heaviest of each call. Its sites sum to its own figures.
  await page.goto(route)
  await page.click('#armed ~ .wide a, #armed ~ * a[href*="/trace/"]')
  const report = await assertTraceIsItsJson(page, site, page.url())
  assert.match(report.request.id, /^armed-\d+$/)
  const rows = await page.$$eval('main table tbody tr', rows => rows.map(row => row.innerText))
  let lines = 0
  report.calls.forEach((call, index) => {
    const sum = figure => call.sites.places.reduce((sum, place) => sum + (place[figure] ?? 0), 0)
    for (const figure of ['allocations', 'reallocations', 'bytes_allocated']) {
      assert.equal(sum(figure), call.self[figure] ?? 0, `${call.name}: ${figure}`)
    }
    const shown = [...rows[index].matchAll(/▸ .+ ([\d,]+) B, allocates ([\d,]+)$/gm)]
    if (!/▸ \d+ more lines?$/m.test(rows[index])) {
      const all = place => shown.reduce((sum, line) => sum + Number(line[place].replaceAll(',', '')), 0)
      assert.equal(all(1), sum('bytes_allocated'), rows[index])
      assert.equal(all(2), sum('allocations') + sum('reallocations'), rows[index])
    }
    lines += shown.length
  })
  assert.notEqual(lines, 0)
  await accessible(page, page.url())
  await page.screenshot({ path: path.join(screenshots, 'armed-trace.png'), fullPage: true })
  assert.deepEqual(tab.wrong, [])
  await tab.context.close()
  site.child.kill()
}

/// Under load: every page in both colour schemes and on both screens, with and without scripts.
async function loaded(browser) {
  const site = await serve('--load')
  const watch = await open(browser, site, { viewport: LAPTOP })
  await watch.page.goto(site.traces)
  await until('failed request', async () => (await watch.page.reload(), Number(await watch.page.innerText('#kept')) >= 12))
  await watch.page.click('.routes th a')
  await until('typical request', async () => (await watch.page.reload(), /Typical/.test(await watch.page.innerText('main'))))
  await watch.context.close()
  for (const [name, options] of [
    ['laptop-light', { viewport: LAPTOP, colorScheme: 'light' }],
    ['laptop-dark', { viewport: LAPTOP, colorScheme: 'dark' }],
    ['phone-light', { viewport: PHONE, colorScheme: 'light', isMobile: true, hasTouch: true }],
    ['phone-dark', { viewport: PHONE, colorScheme: 'dark', isMobile: true, hasTouch: true, javaScriptEnabled: false }],
  ]) {
    const tab = await open(browser, site, options)
    const drawn = new Set()
    const counted = await everyPage(tab, site, 2, async url => {
      const wide = await tab.page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth)
      assert(wide <= 0, `${url} at ${name} is ${wide} pixels too wide`)
      // All columns are visible.
      const cut = await tab.page.$$eval('.wide', all => all.filter(it => it.scrollWidth > it.clientWidth).map(it => it.ariaLabel))
      assert.deepEqual(cut, [], `${url} at ${name}: clipped`)
      if (options.javaScriptEnabled !== false) await accessible(tab.page, url)
      const [, , , first, , last] = new URL(url).pathname.split('/')
      const kind = last ?? first ?? 'overview'
      if (!drawn.has(kind) && drawn.add(kind)) {
        await tab.page.screenshot({ path: path.join(screenshots, `${kind}-${name}.png`), fullPage: true })
      }
    })
    if (name === 'laptop-light') await pictured(browser, site)
    const kinds = [...counted.keys()].map(it => it.replace('/debug/traces', '')).sort()
    // `tests/http/page_links.rs` checks that a trace has a link to each format.
    const isExport = kind => /^\/metrics$|^\/trace\/N\/(?!compare)/.test(kind)
    assert(kinds.some(isExport), `${name}: no export among ${kinds}`)
    assert.deepEqual(kinds.filter(kind => !isExport(kind)), ['', '/failures', '/hotspots', '/in-flight', '/route', '/search', '/trace/N', '/trace/N/compare'], name)
    assert.deepEqual(tab.wrong, [], name)
    assert.deepEqual([...tab.asked], [new URL(site.base).origin], name)
    await tab.context.close()
  }
  site.child.kill()
}

/// Takes the pictures of the documents: of the heaviest request, and beside a typical one.
async function pictured(browser, site) {
  const options = { viewport: LAPTOP, colorScheme: 'light', deviceScaleFactor: 2 }
  const { context, page } = await open(browser, site, options)
  const made = {}
  const take = async (name, from) => {
    // No row is highlighted.
    await page.mouse.move(0, 0)
    made[name] = await page.evaluate(consists, from)
    const last = await page.locator(`${from} ~ p`).last().boundingBox()
    const clip = { x: 0, y: 0, width: LAPTOP.width, height: last.y + last.height + 12 }
    await page.screenshot({ path: path.join(screenshots, `${name}.png`), fullPage: true, clip })
  }
  const heaviest = 'h2:text("Heaviest") + * tbody tr:first-child'
  await until('heavy request', async () => (await page.reload(), /\b5,0\d\d\b/.test(await page.innerText(heaviest))))
  await page.click(`${heaviest} a`)
  await take('trace', 'h2 + .wide')
  await page.click('a:text("a typical request")')
  await take('compare', 'h2 + .wide')
  await context.close()
  const written = JSON.stringify(made, null, 2) + '\n'
  fs.writeFileSync(path.join(screenshots, 'pictures.json'), written)
  const before = fs.existsSync(pictures) ? fs.readFileSync(pictures, 'utf8') : ''
  assert.equal(written, before, 'the pictures in docs/ are of another page: run .ci/browser --pictures')
}

/// Returns what a page consists of: the parts of its content, and the heads of the table's columns.
function consists(table) {
  const parts = [...document.querySelector('main').children].map(it => [it.tagName.toLowerCase(), ...it.classList].join('.'))
  const heads = [...document.querySelectorAll(`${table} thead th`)].map(it => it.innerText)
  return { parts, heads }
}

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
})
try {
  await known(browser)
  await armed(browser)
  await loaded(browser)
  console.log(`Chromium ${browser.version()}: every page is as it should be; ${screenshots}`)
} finally {
  await browser.close()
}
process.exit(0)
