/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* All directories below one. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <sys/stat.h>
#include "t.h"
#include "util.h"
#include "walk.h"

static char root[64];
static struct walk walk;
static struct err err;

static void make(const char *path)
{
	char whole[PATH_MAX];

	snprintf(whole, sizeof(whole), "%s%s", root, path);
	CHECK_INT(mkdir(whole, 0755), 0);
}

static void start(void)
{
	strcpy(root, "/tmp/bpfnet-walk.XXXXXX");
	CHECK(mkdtemp(root));
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static void end(void)
{
	walk_fini(&walk);
	CHECK_INT(walk.nr_dirs, 0);
	CHECK_INT(nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static const char *path_of(size_t i)
{
	return walk.text + walk.dirs[i].path;
}

/* How often there is an entry for this path with the inode number of what is there. */
static int count(const char *path)
{
	char whole[PATH_MAX];
	struct stat st;
	int n = 0;

	snprintf(whole, sizeof(whole), "%s%s", root, path);
	CHECK_INT(stat(whole, &st), 0);
	for (size_t i = 0; i < walk.nr_dirs; i++)
		n += str_eq(path_of(i), path) && walk.dirs[i].inode == st.st_ino;
	return n;
}

static void finds_all(void)
{
	static const char *const dirs[] = { "/a", "/a/b", "/a/b/c", "/a/d", "/e", "/with blank" };
	char link[PATH_MAX], file[PATH_MAX];

	start();
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		make(dirs[i]);
	snprintf(link, sizeof(link), "%s/e/link", root);
	CHECK_INT(symlink(root, link), 0);
	snprintf(file, sizeof(file), "%s/a/file", root);
	close(open(file, O_CREAT | O_WRONLY, 0644));
	CHECK_INT(walk_tree(&walk, root, &err), 0);
	CHECK_INT(walk.nr_dirs, ARRAY_SIZE(dirs) + 1);
	CHECK_INT(walk.nr_unread, 0);
	CHECK_INT(count(""), 1);
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		CHECK_INT(count(dirs[i]), 1);
	end();
}

static void finds_many(void)
{
	char path[64];

	start();
	for (int i = 0; i < 3000; i++) {
		snprintf(path, sizeof(path), "/%040d", i);
		make(path);
	}
	make("/0000000000000000000000000000000000001234/below");
	CHECK_INT(walk_tree(&walk, root, &err), 0);
	CHECK_INT(walk.nr_dirs, 3002);
	CHECK_INT(count("/0000000000000000000000000000000000001234/below"), 1);
	CHECK_INT(count("/0000000000000000000000000000000000002999"), 1);
	end();
}

static void does_not_go_too_deep(void)
{
	char path[PATH_MAX] = "";

	start();
	for (int i = 0; i < 200; i++) {
		strcat(path, "/d");
		make(path);
	}
	CHECK_INT(walk_tree(&walk, root, &err), 0);
	CHECK_INT(walk.nr_dirs, 1 + 129);
	end();
}

static void says_what_is_wrong(void)
{
	start();
	CHECK_INT(walk_tree(&walk, "/nowhere", &err), -ENOENT);
	CHECK_STR(err.msg, "can't read the directory \"/nowhere\" (ENOENT)");
	walk_fini(&walk);
	CHECK_INT(walk_tree(&walk, "/proc/self/comm", &err), -ENOTDIR);
	end();
}

static const struct t_case cases[] = {
	{ "every directory has its path and its inode number", finds_all },
	{ "there may be thousands", finds_many },
	{ "what is too deep is left out", does_not_go_too_deep },
	{ "a directory that is not there is an error", says_what_is_wrong },
};

T_MAIN(cases)
