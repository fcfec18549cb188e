/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* bpf.json: every type exactly, and what has no JSON form. */
#include <locale.h>
#include "lua_run.h"

/* Lua expression, JSON text; the second one is compared as it is. */
static void encodes(const char *value, const char *json)
{
	char chunk[1024];

	snprintf(chunk, sizeof(chunk), "return assert(bpf.json(%s) == [==[%s]==], bpf.json(%s))",
		 value, json, value);
	script_ok(chunk);
}

static void refuses(const char *value, const char *message)
{
	char chunk[1024];

	snprintf(chunk, sizeof(chunk), "bpf.json(%s)", value);
	script_fails(chunk, message);
	CHECK_HAS(script_error(script), "chunk:1: json: ");
}

static void simple(void)
{
	script_start(0, 1);
	encodes("nil", "null");
	encodes("true", "true");
	encodes("false", "false");
	encodes("''", "\"\"");
	encodes("'text'", "\"text\"");
	encodes("require 'cjson'.null", "null");
	script_fails("bpf.json()", "bpf.json: expected a value, got nothing");
	script_fails("bpf.json({}, 1)",
		     "bpf.json: expected a list of names that come first, got integer");
	script_end();
}

static void integers(void)
{
	script_start(0, 1);
	encodes("0", "0");
	encodes("-1", "-1");
	encodes("9007199254740993", "9007199254740993"); /* 2^53 + 1 */
	encodes("math.maxinteger", "9223372036854775807");
	encodes("math.mininteger", "-9223372036854775808");
	encodes("{cookie = 18014398509481985}", "{\"cookie\":18014398509481985}");
	script_end();
}

static void floats(void)
{
	script_start(0, 1);
	encodes("0.5", "0.5");
	encodes("0.1", "0.1");
	encodes("-1.25", "-1.25");
	encodes("1e300", "1e+300");
	encodes("0/0", "null");
	encodes("1/0", "null");
	encodes("-1/0", "null");
	encodes("{0/0, 1}", "[null,1]");
	script_ok("for i = 1, 1000 do local x = math.random() * 10 ^ math.random(-300, 300) "
		  "assert(tonumber(bpf.json(x)) == x, bpf.json(x)) end");
	script_end();
}

/* A script may set the locale; JSON has its own point. */
static void locales(void)
{
	script_start(0, 1);
	if (!setlocale(LC_ALL, "de_DE.UTF-8"))
		SKIP("no locale with a decimal comma");
	encodes("1 / 4", "0.25");
	script_end();
}

static void strings(void)
{
	script_start(0, 1);
	encodes("'\"\\\\/'", "\"\\\"\\\\/\"");
	encodes("'\\n\\t\\0\\x1f'", "\"\\u000a\\u0009\\u0000\\u001f\"");
	encodes("'\\u{fc}\\u{20ac}\\u{1f600}'", "\"\u00fc\u20ac\U0001f600\"");
	encodes("{['\"'] = 1}", "{\"\\\"\":1}");
	script_end();
}

static void bad_utf8(void)
{
	static const char *const bad[] = {
		"\\x80",
		"\\xff",
		"\\xc3",
		"\\xc0\\x80",
		"\\xc1\\xbf",
		"\\xe2\\x82",
		"\\xe0\\x9f\\xbf",
		"\\xed\\xa0\\x80",
		"\\xf0\\x8f\\xbf\\xbf",
		"\\xf4\\x90\\x80\\x80",
		"\\xf5\\x80\\x80\\x80",
	};
	char chunk[512];

	script_start(0, 1);
	encodes("'a\\xffb'", "\"a\\ufffdb\"");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(chunk, sizeof(chunk),
			 "local j = bpf.json('<%s>') assert(j:match('^\"<[\\\\ufd]+>\"$'), j)",
			 bad[i]);
		script_ok(chunk);
	}
	script_ok("for i = 1, 2000 do local s = {} for j = 1, 20 do s[j] = math.random(0, 255) end "
		  "local j = bpf.json(string.char(table.unpack(s))) "
		  "assert(utf8.len(j)) assert(not j:find('%c')) end");
	script_end();
}

static void tables(void)
{
	script_start(0, 1);
	encodes("{}", "{}");
	encodes("{1, 2, 3}", "[1,2,3]");
	encodes("{{}, {1}}", "[{},[1]]");
	encodes("{a = {b = {c = false}}}", "{\"a\":{\"b\":{\"c\":false}}}");
	encodes("{[1.5] = 1}", "{\"1.5\":1}");
	encodes("{[10] = 'x'}", "{\"10\":\"x\"}");
	script_ok("local t = {} for i = 1, 100 do t['k' .. i] = i end "
		  "local back = require 'cjson'.decode(bpf.json(t)) local n = 0 "
		  "for k, v in pairs(back) do n = n + 1 assert(t[k] == v) end assert(n == 100)");
	script_end();
}

/* Neither half of a table that is both may be lost. */
static void mixed_tables(void)
{
	script_start(0, 1);
	script_ok(
		"local ok, j = pcall(bpf.json, {1, 2, name = 'x'}) assert(not ok or j:find('name'), j)");
	script_end();
}

static void order(void)
{
	script_start(0, 1);
	encodes("{b = 1, a = 2, c = {2, 1}}, {'c', 'b', 'a'}", "{\"c\":[2,1],\"b\":1,\"a\":2}");
	encodes("{a = 1}, {'gone', 'a'}", "{\"gone\":null,\"a\":1}");
	encodes("{a = 1, b = 2}, {'a', 'a', 'b', 'a'}", "{\"a\":1,\"b\":2}");
	encodes("{[7] = 1, [('x'):rep(50)] = 2}, {7, ('x'):rep(50), 7, ('x'):rep(50)}",
		"{\"7\":1,\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\":2}");
	script_ok(
		"local t, order = {}, {} for i = 1, 200 do t['k' .. i] = i order[i] = 'k' .. i end "
		"for i = 1, 200 do order[200 + i] = 'k' .. i end t.last = 0 "
		"local n, at, j = 0, 0, bpf.json(t, order) "
		"for k, v in j:gmatch('\"k(%d+)\":(%d+)') do n = n + 1 "
		"assert(tonumber(k) == n and v == k) end "
		"assert(n == 200 and j:sub(-10) == ',\"last\":0}', j)");
	encodes("{z = 1, a = 2}, {'z'}", "{\"z\":1,\"a\":2}");
	encodes("setmetatable({b = 1, a = 2}, {fields = {'b', 'a'}})", "{\"b\":1,\"a\":2}");
	encodes("{setmetatable({b = 1, a = 2}, {fields = {'a', 'b'}})}", "[{\"a\":2,\"b\":1}]");
	script_end();
}

/* Events have a way of their own, and the general one for what a script has done to them. */
static void events(void)
{
	need_bpf();
	script_start(0, 5);
	script_ok(
		"local cjson = require 'cjson' "
		"local ev, p p = bpf.load('tcpclose', function(e) ev = e end) "
		"p:inject({comm = 'a\"b', daddr = '::1', cookie = -1, old = true}) "
		"local function check(more) "
		"  local j = ev:json() assert(j == bpf.json(ev)) "
		"  assert(bpf.json({ev, ev}) == '[' .. j .. ',' .. j .. ']') "
		"  local back, n = cjson.decode(j), 0 "
		"  for k, v in pairs(ev) do n = n + 1 "
		"    assert(back[tostring(k)] == v or k == 'cookie' or type(v) == 'table', k) end "
		"  local at = 0 for _, name in ipairs(p.fields) do "
		"    local here = j:find('\"' .. name .. '\":', 1, true) "
		"    assert(here and here > at, name) at = here end "
		"  assert(not more or j:sub(-#more) == more, j) end "
		"check('\"old\":true}') "
		"ev.duration_ns, ev.tx_bytes, ev.comm = 7, nil, '\\n' check('\"old\":true}') "
		"ev.tx_bytes = 1.5 check() assert(ev:json():find('\"tx_bytes\":1.5', 1, true)) "
		"ev.mine = {1} check(',\"mine\":[1]}') ev.mine = nil "
		"ev[3] = 3 check(',\"3\":3}') ev[3] = nil "
		"ev.tx_bytes = {} check() ev.tx_bytes = print "
		"assert(not pcall(ev.json, ev)) ev.tx_bytes = 1 check('\"old\":true}') "
		"p.fields[1] = 'other' local j = ev:json() assert(cjson.decode(j).ts_ns == 0) "
		"p:close() p = nil collectgarbage() assert(ev:json() == j)");
	script_end();
}

static void no_form(void)
{
	script_start(0, 1);
	refuses("print", "has no JSON form");
	refuses("{f = function() end}", "has no JSON form");
	refuses("coroutine.create(print)", "has no JSON form");
	refuses("io.stdout", "has no JSON form");
	refuses("{[true] = 1}", "a key is neither string nor number");
	refuses("{[{}] = 1}", "a key is neither string nor number");
	refuses("{1}, {{}}", "");
	script_end();
}

static void depth(void)
{
	script_start(0, 1);
	script_ok("local t = {} for i = 1, 60 do t = {t} end "
		  "assert(bpf.json(t) == ('['):rep(60) .. '{}' .. (']'):rep(60))");
	script_fails("local t = {} for i = 1, 100 do t = {t} end bpf.json(t)", "nested too deeply");
	script_fails("local t = {} t.t = t bpf.json(t)", "nested too deeply");
	script_fails("local t = {} t[1] = {a = t} bpf.json(t)", "nested too deeply");
	script_ok("assert(bpf.json(1) == '1')");
	script_end();
}

static void large(void)
{
	script_start(0, 5);
	script_ok("local t = {} for i = 1, 100000 do t[i] = {n = i, s = 'x'} end "
		  "local j = bpf.json(t) local n = select(2, j:gsub('{', '')) assert(n == 100000) "
		  "assert(#bpf.json(('x'):rep(1 << 20)) == (1 << 20) + 2)");
	script_end();
}

static const struct t_case cases[] = {
	{ "nil, booleans and text", simple },
	{ "integers are exact", integers },
	{ "floats read back the same, what is no number is null", floats },
	{ "the locale does not matter", locales },
	{ "strings are escaped", strings },
	{ "bytes that are no UTF-8 are replaced", bad_utf8 },
	{ "tables are arrays or objects", tables },
	{ "a table that is both is not cut", mixed_tables },
	{ "keys come in the order asked for", order },
	{ "events, also changed ones", events },
	{ "what has no JSON form is refused", no_form },
	{ "depth is limited, so cycles end", depth },
	{ "large values", large },
};

T_MAIN(cases)
