/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <stdio.h>
#include <lauxlib.h>
#include "modules.h"
#include "script_priv.h"
#include "script_trace.h"
#include "util.h"

/* Of a deep recursion the first and the last calls are shown: walking costs the square of the depth. */
#define FIRST_LEVELS 12
#define LAST_LEVELS  4
#define LOOK_LEVELS  100 /* for the user's line, above those of modules */

static const char told; /* its address is the registry key of the last complete text */

/* As luaL_traceback() does it: a level is found from the top, so doubling comes first. */
int script_trace_depth(lua_State *L)
{
	lua_Debug ar;
	int low = 1, high = 1;

	while (lua_getstack(L, high, &ar)) {
		low = high;
		high *= 2;
	}
	while (low < high) {
		int mid = (low + high) / 2;

		if (lua_getstack(L, mid, &ar))
			low = mid + 1;
		else
			high = mid;
	}
	return lua_getstack(L, 0, &ar) ? high : 0;
}

void script_trace_where(lua_State *L, char *text, size_t size)
{
	lua_Debug ar;

	*text = '\0';
	for (int level = 0; lua_getstack(L, level, &ar); level++) {
		lua_getinfo(L, "Sl", &ar);
		if (ar.currentline > 0) {
			snprintf(text, size, "%s:%d: ", ar.short_src, ar.currentline);
			return;
		}
	}
}

int script_raise(lua_State *L)
{
	struct script *s = script_of(L);
	size_t cap = s->max_memory;

	s->max_memory = 0; /* a script that has used up its memory is told so all the same */
	lua_pushstring(L, s->error);
	script_clear_error(s);
	lua_pushvalue(L, -1);
	lua_rawsetp(L, LUA_REGISTRYINDEX, &told);
	s->max_memory = cap;
	return lua_error(L);
}

static bool was_told(lua_State *L, int index)
{
	bool same;

	lua_rawgetp(L, LUA_REGISTRYINDEX, &told);
	same = lua_rawequal(L, index, -1);
	lua_pop(L, 1);
	return same;
}

/* A line that an error came through. */
struct frame {
	char place[LUA_IDSIZE + 16]; /* as luaL_where() says it */
	bool ours;
	bool at_place; /* the message begins with it */
	lua_Debug ar;
};

/* False for functions of C, and beyond the last level. */
static bool get_frame(lua_State *L, int level, const char *msg, struct frame *f)
{
	if (!lua_getstack(L, level, &f->ar))
		return false;
	lua_getinfo(L, "Sln", &f->ar);
	if (f->ar.currentline <= 0)
		return false;
	snprintf(f->place, sizeof(f->place), "%s:%d: ", f->ar.short_src, f->ar.currentline);
	f->ours = module_file(f->ar.source) != NULL;
	f->at_place = str_starts(msg, f->place);
	return true;
}

struct trace {
	int end; /* first level that is not the callback's any more */
	int inner; /* level of the innermost line; 0: none */
	int user; /* likewise of a line that is the user's */
	int raised; /* level of a module's line that the message names; 0: it names none */
};

static void look(lua_State *L, const char *msg, struct trace *t)
{
	struct frame f;

	t->end = script_trace_depth(L) - script_of(L)->floor;
	for (int level = 1; level < t->end && level < LOOK_LEVELS && !t->user; level++) {
		if (!get_frame(L, level, msg, &f))
			continue;
		if (!t->inner)
			t->inner = level;
		if (!f.ours)
			t->user = level;
		else if (f.at_place && !t->raised)
			t->raised = level;
	}
}

/* "file:42: ..." */
static bool has_place(const char *msg)
{
	const char *colon = strchr(msg, ':');
	size_t digits = colon ? strspn(colon + 1, "0123456789") : 0;

	return digits && str_starts(colon + 1 + digits, ": ");
}

/*
 * [-0, +1] the message, which names a line of the user's instead of one in a module. What coroutine.wrap() puts
 * the place of its call before, has its own place, and the call is in the trace.
 */
static void push_at_user(lua_State *L, const char *msg, const struct trace *t)
{
	struct frame raised, user = { 0 };

	if (t->user)
		get_frame(L, t->user, msg, &user);
	if (user.at_place && has_place(msg + strlen(user.place)))
		msg += strlen(user.place);
	if (!t->raised || !t->user) {
		lua_pushstring(L, msg);
		return;
	}
	get_frame(L, t->raised, msg, &raised);
	lua_pushfstring(L, "%s%s", user.place, msg + strlen(raised.place));
}

/* The message on top gets a guess at the end of its first line. */
static void add_guess(lua_State *L, const struct trace *t)
{
	const char *msg = lua_tostring(L, -1), *more;
	size_t len = strcspn(msg, "\n");
	lua_Debug ar;

	if (!t->inner || !lua_getstack(L, t->inner, &ar) || !script_guess(L, msg, &ar))
		return;
	more = msg + len;
	if (script_is_list(msg)) {
		len--; /* a colon */
		more = "";
	}
	lua_pushlstring(L, msg, len);
	lua_insert(L, -2);
	lua_pushstring(L, more);
	lua_concat(L, 3);
	lua_replace(L, -2);
}

/* [-0, +1] "in function 'f'" */
static void push_function(lua_State *L, const struct frame *f)
{
	const lua_Debug *ar = &f->ar;

	if (*ar->what == 'm')
		lua_pushliteral(L, "main chunk");
	else if (*ar->namewhat)
		lua_pushfstring(L, "%s '%s'",
				str_eq(ar->namewhat, "global") ? "function" : ar->namewhat,
				ar->name);
	else
		lua_pushfstring(L, "function <%s:%d>",
				f->ours ? module_file(ar->source) : ar->short_src, ar->linedefined);
}

/* A module's line counts only on the way from where it raised the error to the user. */
static bool is_shown(const struct trace *t, const struct frame *f, int level)
{
	return !f->ours || !t->user || (t->raised && level < t->user);
}

/* The message is on top; a list of lines comes behind it, unless there is nothing to add. */
static void add_lines(lua_State *L, const struct trace *t)
{
	int msg = lua_gettop(L), lines = 0, repeated = 0;
	struct frame f;

	lua_pushliteral(L, "\nstack traceback:");
	for (int level = 1; level < t->end; level++) {
		if (level == FIRST_LEVELS && t->end - level > LAST_LEVELS) {
			lua_pushfstring(L, "\n\t... (%d more)", t->end - level - LAST_LEVELS);
			level = t->end - LAST_LEVELS;
			lua_concat(L, 2);
		}
		if (!get_frame(L, level, lua_tostring(L, msg), &f) || !is_shown(t, &f, level))
			continue;
		if (f.ours)
			lua_pushfstring(L, "\n\t%s:%d: in ", module_file(f.ar.source),
					f.ar.currentline);
		else
			lua_pushfstring(L, "\n\t%sin ", f.place);
		push_function(L, &f);
		lua_concat(L, 3);
		lines++;
		repeated += f.at_place;
	}
	if (lines > repeated)
		lua_concat(L, 2);
	else
		lua_pop(L, 1);
}

/* [-0, +1] The error as text. False: that is all there is to say. */
static bool push_text(lua_State *L)
{
	const char *msg = lua_tostring(L, 1);

	if (msg) {
		lua_pushvalue(L, 1);
		return !strstr(msg, "\nstack traceback:") && !was_told(L, 1);
	}
	/* an error object: its own text if it has one, for a script may throw tables */
	if (luaL_callmeta(L, 1, "__tostring") && lua_type(L, -1) == LUA_TSTRING)
		return false;
	lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 1));
	return true;
}

int script_trace(lua_State *L)
{
	struct trace t = { 0 };

	if (!push_text(L))
		return 1;
	look(L, lua_tostring(L, -1), &t);
	push_at_user(L, lua_tostring(L, -1), &t);
	add_guess(L, &t);
	add_lines(L, &t);
	return 1;
}
