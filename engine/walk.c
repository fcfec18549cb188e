/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include "util.h"
#include "walk.h"

#define DEEPEST 128 /* each level has a descriptor open */

/* The list with room for `need` entries, or NULL: out of memory, and the list is as it was. */
static void *grow(void *list, size_t *room, size_t need, size_t size)
{
	size_t n = *room ? *room : 1024;

	if (need <= *room)
		return list;
	while (n < need)
		n *= 2;
	list = realloc(list, n * size);
	if (list)
		*room = n;
	return list;
}

/* The path of `name` in the directory whose path begins at `parent`. */
static int add(struct walk *w, uint64_t inode, size_t parent, const char *name)
{
	size_t len = w->text ? strlen(w->text + parent) : 0, name_len = strlen(name);
	void *dirs = grow(w->dirs, &w->dirs_room, w->nr_dirs + 1, sizeof(*w->dirs)), *text;

	if (!dirs)
		return -ENOMEM;
	w->dirs = dirs;
	text = grow(w->text, &w->text_room, w->text_size + len + name_len + 2, 1);
	if (!text)
		return -ENOMEM;
	w->text = text;
	w->dirs[w->nr_dirs++] = (struct walk_dir){ inode, w->text_size };
	memmove(w->text + w->text_size, w->text + parent, len);
	w->text_size += len;
	if (*name)
		w->text[w->text_size++] = '/';
	memcpy(w->text + w->text_size, name, name_len + 1);
	w->text_size += name_len + 1;
	return 0;
}

/* One without directories in it has two links, and reading it would take ten times as long. */
static bool has_dirs(int at, const char *name)
{
	struct stat st;

	return fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_nlink != 2;
}

static int walk_dir(struct walk *w, int at, const char *name, size_t path, int depth)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (depth ? O_NOFOLLOW : 0));
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;
	int rc = 0;

	if (!dir) {
		rc = -errno;
		close_fd(&fd);
		return rc;
	}
	while (!rc && (e = readdir(dir))) {
		if (e->d_type != DT_DIR || str_eq(e->d_name, ".") || str_eq(e->d_name, ".."))
			continue;
		rc = add(w, e->d_ino, path, e->d_name);
		if (rc || depth == DEEPEST || !has_dirs(fd, e->d_name))
			continue;
		rc = walk_dir(w, fd, e->d_name, w->dirs[w->nr_dirs - 1].path, depth + 1);
		if (rc && rc != -ENOMEM) { /* gone meanwhile, or no business of ours */
			w->nr_unread += rc != -ENOENT;
			rc = 0;
		}
	}
	closedir(dir);
	return rc;
}

int walk_tree(struct walk *walk, const char *path, struct err *err)
{
	struct stat st;
	int rc = stat(path, &st) ? -errno : 0;

	if (!rc)
		rc = add(walk, st.st_ino, 0, "");
	if (!rc)
		rc = walk_dir(walk, AT_FDCWD, path, 0, 0);
	return rc ? err_sys(err, rc, "can't read the directory \"%s\"", path) : 0;
}

void walk_fini(struct walk *walk)
{
	free(walk->dirs);
	free(walk->text);
	memset(walk, 0, sizeof(*walk));
}
