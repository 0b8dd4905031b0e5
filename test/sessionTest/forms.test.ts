/**
 * The hidden fields of a page, however its tags are written.
 */
import { assert, describe, it } from "@effect/vitest"
import { hiddenFields } from "effect-session/SessionTest"

describe("hidden fields", () => {
  it.each<[string, Record<string, string>]>([
    [`<input type="hidden" name="_csrf" value="a-b_c">`, { _csrf: "a-b_c" }],
    [`<INPUT VALUE='1' NAME='a' TYPE='HIDDEN' />`, { a: "1" }],
    ["<input type=hidden name=a value=1>", { a: "1" }],
    [`<input\n  type = "hidden"\n  name = "a">`, { a: "" }],
    [`<input type="hidden" name="a" value="1 > 0">`, { a: "1 > 0" }],
    [`<input type="hidden" name="to" value="/?a=1&amp;b=&quot;&#39;&#x2F;&lt;&gt;&unknown;">`, {
      to: "/?a=1&b=\"'/<>&unknown;"
    }],
    [`<input name="b" value="2"><input type="text" name="c"><input type="hidden">`, {}],
    [`<form><input type="hidden" name="a" value="1"></form><form><input type="hidden" name="b" value="2"></form>`, {
      a: "1",
      b: "2"
    }],
    [`<inputs type="hidden" name="a" value="1"> &lt;input type="hidden" name="a"&gt;`, {}]
  ])("of %s", (html, fields) => {
    assert.deepStrictEqual(hiddenFields(html), fields)
  })
})
