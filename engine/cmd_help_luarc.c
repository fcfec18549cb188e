/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Settings of lua-language-server for a folder of scripts: where the annotations are. */
#include <stdio.h>
#include <unistd.h>
#include "cmd.h"
#include "cmd_help.h"
#include "util.h"

/* Two levels up from the binary: "/usr/local" of /usr/local/bin/bpfnet, or the source tree. */
static bool find_root(char *root, size_t size)
{
	ssize_t n = readlink("/proc/self/exe", root, size - 1);

	root[n > 0 ? n : 0] = '\0';
	for (int i = 0; i < 2; i++) {
		char *slash = strrchr(root, '/');

		if (!slash)
			return false;
		*slash = '\0';
	}
	return true;
}

static bool has_annotations(const char *dir)
{
	char path[700];

	snprintf(path, sizeof(path), "%s/bpfnet/_meta.lua", dir);
	return access(path, R_OK) == 0;
}

static void put_json_text(FILE *to, const char *text)
{
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', to);
		fputc(*text, to);
	}
}

int help_luarc(FILE *to)
{
	static const char *const below[] = { "lua", "share/bpfnet/lua" };
	char root[512], dir[600];

	if (!find_root(root, sizeof(root)))
		root[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(below); i++) {
		snprintf(dir, sizeof(dir), "%s/%s", root, below[i]);
		if (!has_annotations(dir))
			continue;
		fputs("{\n  \"runtime.version\": \"Lua 5.4\",\n  \"workspace.library\": [\"", to);
		put_json_text(to, dir);
		fputs("\"],\n  \"workspace.checkThirdParty\": false\n}\n", to);
		return EXIT_OK;
	}
	fprintf(stderr,
		"bpfnet help: the annotations are neither in %s/lua nor in %s/share/bpfnet/lua\n"
		"hint: make install puts them there\n",
		root, root);
	return EXIT_FAILED;
}
