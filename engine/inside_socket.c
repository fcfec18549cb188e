/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include "inside_socket.h"
#include "util.h"

#define LISTENS_SECONDS 2 /* after its file is there */

static char own_path[128];
static pid_t own_pid;

/* For processes of this user; own: the environment is that user's. */
static int directory(char *path, size_t size, uid_t uid, bool own)
{
	const char *runtime = own ? getenv("XDG_RUNTIME_DIR") : NULL;
	int n;

	if (uid == 0)
		n = snprintf(path, size, "/run/bpfnet");
	else if (own && (!runtime || *runtime != '/'))
		return -ENOENT;
	else if (own)
		n = snprintf(path, size, "%s/bpfnet", runtime);
	else
		n = snprintf(path, size, "/run/user/%u/bpfnet", (unsigned int)uid);
	return n < (int)size ? 0 : -ENAMETOOLONG;
}

static int address(struct sockaddr_un *sun, const char *dir, pid_t pid)
{
	int n;

	*sun = (struct sockaddr_un){ .sun_family = AF_UNIX };
	n = snprintf(sun->sun_path, sizeof(sun->sun_path), "%s/%d.sock", dir, (int)pid);
	return n < (int)sizeof(sun->sun_path) ? 0 : -ENAMETOOLONG;
}

static int unix_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 ? -errno : fd;
}

static int try_connect(const struct sockaddr_un *sun)
{
	int fd = unix_socket(), rc;

	if (fd < 0)
		return fd;
	if (!connect(fd, (const struct sockaddr *)sun, sizeof(*sun)))
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

static void read_comm(pid_t pid, char *comm, size_t size)
{
	char path[32];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	f = fopen(path, "r");
	comm[0] = '\0';
	if (f && fgets(comm, (int)size, f))
		comm[strcspn(comm, "\n")] = '\0';
	if (f)
		fclose(f);
}

/*
 * Its process is gone, or the number is that of another program: a container that has the directory, too, counts
 * its processes in its own way, and one there may be about to listen.
 */
static bool may_be_stale(const char *path, pid_t pid)
{
	char comm[32];
	struct stat st;

	read_comm(pid, comm, sizeof(comm));
	if (pid <= 0 || !*comm)
		return pid > 0;
	return !str_eq(comm, "bpfnet") && !stat(path, &st) &&
	       time(NULL) - st.st_mtime > LISTENS_SECONDS;
}

/* Sockets that nobody listens to. */
static void remove_stale(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		struct sockaddr_un sun;
		int pid, end = 0, fd;

		if (sscanf(e->d_name, "%d.sock%n", &pid, &end) != 1 || !end || e->d_name[end])
			continue;
		if (address(&sun, dir, pid) || !may_be_stale(sun.sun_path, pid))
			continue;
		fd = try_connect(&sun);
		if (fd == -ECONNREFUSED)
			unlink(sun.sun_path);
		if (fd >= 0)
			close(fd);
	}
	if (d)
		closedir(d);
}

/* Ours alone, or not used at all: who may write to it could put his own socket there. */
static int make_directory(const char *dir, struct err *err)
{
	struct stat st;

	if (mkdir(dir, 0700) && errno != EEXIST)
		return err_sys(err, -errno, "can't make %s", dir);
	if (lstat(dir, &st))
		return err_sys(err, -errno, "can't look at %s", dir);
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077))
		return err_set(err, -EPERM, "%s is not a directory of this user alone", dir);
	return 0;
}

/* A script may end by os.exit(). A child process that does is not the one that listens. */
static void remove_own(void)
{
	if (own_pid == getpid())
		unlink(own_path);
}

static void remember(const char *path)
{
	static bool registered;

	if (!registered)
		registered = !atexit(remove_own);
	own_pid = getpid();
	snprintf(own_path, sizeof(own_path), "%s", path);
}

void inside_unlisten(int *fd)
{
	remove_own();
	own_pid = 0;
	close_fd(fd);
}

int inside_listen(struct err *err)
{
	struct sockaddr_un sun;
	char dir[sizeof(sun.sun_path)];
	int rc = directory(dir, sizeof(dir), geteuid(), true), fd;

	if (rc)
		return err_set(err, rc, "no directory for it (XDG_RUNTIME_DIR is not set)");
	rc = make_directory(dir, err);
	if (rc)
		return rc;
	remove_stale(dir);
	if (address(&sun, dir, getpid()))
		return err_set(err, -ENAMETOOLONG, "%s: too long for a socket", dir);
	fd = unix_socket();
	if (fd < 0)
		return err_sys(err, fd, "can't make a socket");
	unlink(sun.sun_path); /* of one that had our number */
	/* connecting takes the right to write; nobody can connect before listen() */
	if (bind(fd, (struct sockaddr *)&sun, sizeof(sun)) || chmod(sun.sun_path, 0600) ||
	    listen(fd, 4)) {
		rc = err_sys(err, -errno, "%s", sun.sun_path);
		close(fd);
		return rc;
	}
	remember(sun.sun_path);
	return fd;
}

int inside_accept(int fd, pid_t *pid, uid_t *uid)
{
	int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct ucred cred = { 0 };
	socklen_t len = sizeof(cred);

	if (client < 0)
		return -1;
	if (getsockopt(client, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		cred.uid = (uid_t)-1;
	*pid = cred.pid;
	*uid = cred.uid;
	if (cred.uid == geteuid() || cred.uid == 0)
		return client;
	close(client);
	return -1;
}

static int no_socket(pid_t pid, int code, struct err *err)
{
	char comm[32];

	read_comm(pid, comm, sizeof(comm));
	err_set(err, code, "process %d (%s) can't be attached to", (int)pid, comm);
	if (str_starts(comm, "bpfnet"))
		err_hint(err,
			 "it could not make its socket (bpfnet run -v tells why), runs in another"
			 " container, or ends just now");
	else
		err_hint(err, "it is no `bpfnet run` or `bpfnet repl`: pgrep -a bpfnet");
	return code;
}

/* Not one with the same number in another PID namespace, of which just the directory is the same. */
static bool listens(int fd, pid_t pid)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) && cred.pid == pid;
}

int inside_connect(pid_t pid, struct err *err)
{
	struct sockaddr_un sun;
	char proc[32], dir[sizeof(sun.sun_path)];
	struct stat st;
	int fd;

	snprintf(proc, sizeof(proc), "/proc/%d", (int)pid);
	if (stat(proc, &st))
		return err_set(err, -ESRCH, "there is no process %d", (int)pid);
	if (geteuid() && st.st_uid != geteuid())
		return err_set(
			err, -EPERM,
			"process %d belongs to another user (uid %u): only that one and root may attach",
			(int)pid, (unsigned int)st.st_uid);
	if (directory(dir, sizeof(dir), st.st_uid, st.st_uid == geteuid()) ||
	    address(&sun, dir, pid))
		return no_socket(pid, -ENOENT, err);
	fd = try_connect(&sun);
	if (fd == -EAGAIN)
		return err_set(err, fd, "process %d does not answer: others wait already",
			       (int)pid);
	if (fd >= 0 && !listens(fd, pid)) {
		close(fd);
		fd = -ECONNREFUSED;
	}
	return fd < 0 ? no_socket(pid, fd, err) : fd;
}
