import { leaveServerCore } from "./processes.ts"
import { candidates, measure, operations } from "./speed.ts"

leaveServerCore()
const only = process.argv[2]
const results = await measure({
  candidates: candidates.filter(({ name }) => only === undefined || new RegExp(only).test(name)),
  operations,
  connections: 50,
  bytes: Number(process.argv[3] ?? 300),
  rounds: Number(process.env["ROUNDS"] ?? 5),
  milliseconds: Number(process.env["MS"] ?? 700)
})
for (const { candidate, cpu, operation, own, p99, perSecond } of results) {
  console.log(
    candidate.padEnd(30),
    operation.padEnd(10),
    cpu.toFixed(1).padStart(6),
    own.toFixed(1).padStart(6),
    perSecond.toFixed(0).padStart(7),
    p99.toFixed(2)
  )
}
process.exit()
