/**
 * What contributors and the workflows are told to run is there.
 */
import { assert, describe, it } from "@effect/vitest"
import { existsSync, globSync, readFileSync } from "node:fs"
import { join, resolve } from "node:path"

const root = resolve(import.meta.dirname, "../..")
const read = (path: string) => readFileSync(join(root, path), "utf8")
const { engines, scripts } = JSON.parse(read("package.json"))
const guide = read("CONTRIBUTING.md")
const workflows = globSync(".github/workflows/*.yml", { cwd: root })
const pages = ["README.md", "CONTRIBUTING.md", ".github/PULL_REQUEST_TEMPLATE.md", ...workflows]

const matches = (
  text: string,
  pattern: RegExp
) => [...new Set(Array.from(text.matchAll(pattern), ([, match]) => match!))]

describe("commands that are written down", () => {
  for (const page of pages) {
    for (const script of matches(read(page), /npm run ([\w:]+)/g)) {
      it(`${page}: npm run ${script}`, () => assert.property(scripts, script))
    }
  }

  it("are in each of the workflows", () => {
    assert.isAtLeast(workflows.length, 2)
    for (const workflow of workflows) assert.match(read(workflow), /npm run /)
  })
})

describe("CONTRIBUTING.md", () => {
  const isPath = (text: string) => /^[\w.-]+\/[\w./-]*$/.test(text)
  const inCommands = matches(guide, / (test\/[\w./-]+)/g)

  it.each([...matches(guide, /`([^`\n]+)`/g).filter(isPath), ...inCommands])("%s is there", (path) => {
    assert.isTrue(existsSync(join(root, path)))
  })

  it("names a driver whose tests can be told by its name", () => {
    const name = /-t "(\w+)"/.exec(guide)![1]!
    assert.match(read("test/drivers/sql/conformance.test.ts"), new RegExp(name))
  })
})

describe("the workflows", () => {
  it("begin with the oldest Node.js that the package supports", () => {
    const [oldest] = /node: \["([\d.]+)"/.exec(read(".github/workflows/ci.yml"))!.slice(1)
    assert.strictEqual(engines.node, `>=${oldest}.0`)
  })

  it.each(workflows)("%s pins each action to a commit, and says which version that is", (workflow) => {
    const uses = matches(read(workflow), /uses: (?!\.\/)(.+)/g)
    assert.isNotEmpty(uses)
    for (const action of uses) assert.match(action, /^[\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/)
  })

  it.each(workflows)("%s gives no more rights than it says", (workflow) => {
    assert.match(read(workflow), /^permissions:/m)
  })

  it("publish only what has been tested", () => {
    assert.match(
      read(".github/workflows/release.yml"),
      /ci:\n {4}uses: \.\/\.github\/workflows\/ci\.yml\n[^]* {4}needs: ci\n/
    )
  })

  it("publish nothing before the first release", () => {
    const isReleased = !/\(unreleased\)/.test(read("CHANGELOG.md"))
    assert.isTrue(isReleased || existsSync(join(root, ".changeset/first-release.md")))
  })
})
