// What @clickhouse/client reads, a line of answer each: main.js URL USER PASSWORD
import { createClient } from '@clickhouse/client'

const [url, username, password] = process.argv.slice(2)
const quiet = { log: { level: 127 } }
const client = createClient({ url, username, password, ...quiet })
const ask = async (query, more = {}) => (await client.query({ query, format: 'JSONEachRow', ...more })).json()
const failed = async (query, more) => ask(query, more).then(() => 'ran', (error) => error.type ?? error.message)

console.log('ping', (await client.ping()).success)
const [{ n }] = await ask('SELECT count() AS n FROM decisions WHERE asset != {a:String}', { query_params: { a: 'none' } })
console.log('decisions', n)
const quoted = { output_format_json_quote_64bit_integers: 1 }
console.log('bits', (await ask('SELECT toUInt64(4603099048211308964) AS bits', { clickhouse_settings: quoted }))[0].bits)
const join = 'SELECT v FROM (SELECT 1 AS k) a LEFT JOIN (SELECT 2 AS k, 7 AS v) b USING k'
console.log('join', (await ask(join, { clickhouse_settings: { join_use_nulls: 1 } }))[0].v)
console.log('readonly', await failed('SELECT 1', { clickhouse_settings: { readonly: '0' } }))
console.log('nosuch', await failed('SELECT 1', { clickhouse_settings: { nosuch: 1 } }))
for (let n = 0; n < 5; n++) {
  const abort = new AbortController()
  setTimeout(() => abort.abort(), 300)
  await failed('SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) % 7 = 3', { abort_signal: abort.signal })
}
console.log('after five that were aborted', (await ask('SELECT 1 AS one'))[0].one)
const zipped = createClient({ url, username, password, compression: { response: true }, ...quiet })
const many = await zipped.query({ query: 'SELECT number FROM numbers(100000)', format: 'CSV' })
console.log('zipped', (await many.text()).length)
await client.close()
await zipped.close()
