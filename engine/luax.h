/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * luax.h - helpers for bindings: options tables, errors, classes, values of records.
 *
 * "raises" in a comment: may leave through a Lua error, so no C resource may be held across it.
 */
#ifndef BPFNET_LUAX_H
#define BPFNET_LUAX_H

#include <lauxlib.h>
#include <lua.h>
#include "err.h"
#include "record.h"

/* raises. Throws err as text, with position and hint. */
int luax_throw(lua_State *L, const struct err *err, const char *where);
/* [-0, +1] name of the errno of the last luax_throw(), nil if there was none since luax_clear_code(). */
void luax_push_code(lua_State *L);
void luax_clear_code(lua_State *L);
/* raises. "where: bad option "path": expected X, got Y". [-0, +0] */
int luax_bad_option(lua_State *L, const char *where, const char *path, const char *expected,
		    int index);
/* raises. "where: unknown option "key", did you mean ...?" */
int luax_no_option(lua_State *L, const char *where, const char *key, const char *const *known);
/*
 * raises unless the argument at index is of this type (LUA_T...): "where: expected `what`, got X". A number may be a text, as
 * everywhere in Lua; `what` is for the eye: "seconds", "a table of options".
 */
void luax_expect(lua_State *L, int index, int type, const char *where, const char *what);
/* raises unless the argument at index is an object of the class: most often a method that was called without its colon. */
void *luax_check_self(lua_State *L, int index, const char *class, const char *where);
/* raises unless every key of the table at index is one of known[] (NULL ends it). */
void luax_check_keys(lua_State *L, int index, const char *where, const char *const *known);
/* raises. Registers class `name` with methods and metamethods; gc also serves __close. [-0, +0] */
void luax_class(lua_State *L, const char *name, const luaL_Reg *methods, const luaL_Reg *meta,
		lua_CFunction gc);
/*
 * [-0, +1 or +0] Pushes the name that was probably meant: of the keys of the table at index, or of the texts in it if it
 * is a list. False: none is near.
 */
bool luax_push_near(lua_State *L, int index, const char *name, bool keys);
/*
 * [-0, +0] raises. "a Timer has no "x", did you mean ...?": names are the keys of the table at `methods`, and known[],
 * which NULL ends.
 */
int luax_no_member(lua_State *L, const char *what, const char *name, int methods,
		   const char *const *known);
/* table[key] = text for the table on top, nil for NULL. [-0, +0] raises only for lack of memory. */
void luax_set_text(lua_State *L, const char *key, const char *text);
/* Pushes a record's value. [-0, +1] raises only for lack of memory. */
void luax_push_value(lua_State *L, const struct value *value);
/* Takes the value at index; strings stay owned by Lua. False if it is of no such type. */
bool luax_to_value(lua_State *L, int index, struct value *value);
/* Type of the value at index for a message: "integer" and "number" are told apart. */
const char *luax_typename(lua_State *L, int index);

#endif
