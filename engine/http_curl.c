/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <dlfcn.h>
#include <errno.h>
#include <sys/auxv.h>
#include "http_curl.h"
#include "util.h"

#define LIBRARY     "libcurl.so.4"
#define QUICK_EXITS 0x075700 /* 7.87.0: CURLOPT_QUICK_EXIT */

static struct curl_api api;

/* The loader's address: a statically linked program has none, and can't load libraries. */
static bool has_loader(void)
{
	return getauxval(AT_BASE) != 0;
}

static int find_functions(void *library, struct err *err)
{
	static const char *const names[] = {
#define NAME(name) "curl_" #name,
		CURL_FUNCTIONS(NAME)
#undef NAME
	};
	void **const places[] = {
#define PLACE(name) (void **)&api.name,
		CURL_FUNCTIONS(PLACE)
#undef PLACE
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		*places[i] = dlsym(library, names[i]);
		if (!*places[i])
			return err_set(err, -ENOENT, LIBRARY " has no function %s", names[i]);
	}
	return 0;
}

static int load(struct err *err)
{
	const curl_version_info_data *info;
	void *library;

	if (!has_loader())
		return err_set(err, -ENOTSUP,
			       "HTTP needs libcurl, which a statically linked bpfnet can't load");
	library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (!library) {
		err_set(err, -ENOENT, "HTTP needs libcurl: %s", dlerror());
		err_hint(err,
			 "install it: Debian's and Ubuntu's package libcurl4, Fedora's libcurl");
		return err->code;
	}
	/* Never unloaded: OpenSSL below it leaves functions to be called at exit. */
	if (find_functions(library, err))
		return err->code;
	if (api.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return err_set(err, -ENOENT, LIBRARY " does not start");
	info = api.version_info(CURLVERSION_NOW);
	api.http2 = info->features & CURL_VERSION_HTTP2;
	api.tls = info->features & CURL_VERSION_SSL;
	api.names = info->features & CURL_VERSION_ASYNCHDNS && info->version_num >= QUICK_EXITS;
	api.version = info->version;
	return 0;
}

const struct curl_api *http_curl(struct err *err)
{
	if (!api.version && load(err))
		return NULL;
	return &api;
}

static bool pipe_is_pending(void)
{
	sigset_t pending;

	sigpending(&pending);
	return sigismember(&pending, SIGPIPE);
}

void http_block_signals(struct http_signals *s)
{
	/* what the code itself causes stays as it is */
	static const int ours[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT };
	sigset_t all;

	sigfillset(&all);
	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		sigdelset(&all, ours[i]);
	pthread_sigmask(SIG_SETMASK, &all, &s->old);
	s->had_pipe = pipe_is_pending();
}

void http_restore_signals(const struct http_signals *s)
{
	static const struct timespec now;
	sigset_t pipe;

	if (!s->had_pipe && pipe_is_pending()) {
		sigemptyset(&pipe);
		sigaddset(&pipe, SIGPIPE);
		sigtimedwait(&pipe, NULL, &now);
	}
	pthread_sigmask(SIG_SETMASK, &s->old, NULL);
}
