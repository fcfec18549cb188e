/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* A request's options: what is wrong with them, and how libcurl is told. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include "http_priv.h"
#include "util.h"

#define CONNECT_TIMEOUT_NS (5 * NSEC_PER_SEC)

static bool has_scheme(const char *url, const char *scheme)
{
	return strncasecmp(url, scheme, strlen(scheme)) == 0;
}

/* The host of a URL is an address, so nobody needs to be asked for it. */
static bool is_address(const char *url)
{
	const char *host = strstr(url, "://") + 3;
	char text[INET_ADDRSTRLEN];
	struct in_addr in;
	size_t len;

	if (*host == '[')
		return true;
	len = strcspn(host, ":/?#");
	if (len >= sizeof(text))
		return false;
	snprintf(text, sizeof(text), "%.*s", (int)len, host);
	return inet_pton(AF_INET, text, &in) == 1;
}

static int check_url(const struct curl_api *curl, const struct http_opts *o, struct err *err)
{
	bool tls = has_scheme(o->url, "https://");

	if (!tls && !has_scheme(o->url, "http://"))
		return err_set(err, -EINVAL, "URL '%s': expected http://... or https://...",
			       o->url);
	for (const char *p = o->url; *p; p++)
		if (*p <= ' ' || *p == 0x7f)
			return err_set(err, -EINVAL, "URL '%s': has a blank or control character",
				       o->url);
	if (tls && !curl->tls)
		return err_set(err, -ENOTSUP, "URL '%s': libcurl %s here has no TLS", o->url,
			       curl->version);
	if (!curl->names && !o->unix_socket && !is_address(o->url)) {
		err_set(err, -ENOTSUP, "URL '%s': libcurl %s here can't look up names in time",
			o->url, curl->version);
		err_hint(err, "use an address, or libcurl 7.87 or newer with a threaded resolver");
		return err->code;
	}
	return 0;
}

/* RFC 9110: a token is letters, digits and some signs. */
static bool is_token(const char *s)
{
	static const char letters[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

	return *s && !s[strspn(s, letters)];
}

static int check_header(const struct http_header *h, struct err *err)
{
	if (!is_token(h->name))
		return err_set(err, -EINVAL, "header '%s': not a header's name", h->name);
	if (strpbrk(h->value, "\r\n"))
		return err_set(err, -EINVAL, "header '%s': its value has a line's end in it",
			       h->name);
	return 0;
}

int http_check(const struct curl_api *curl, const struct http_opts *o, struct err *err)
{
	struct sockaddr_un un;
	int rc = check_url(curl, o, err);

	for (size_t i = 0; !rc && i < o->headers.count; i++)
		rc = check_header(&o->headers.list[i], err);
	if (rc)
		return rc;
	if (o->method && !is_token(o->method))
		return err_set(err, -EINVAL, "method '%s': not a method's name", o->method);
	if (o->unix_socket && strlen(o->unix_socket) >= sizeof(un.sun_path))
		return err_set(err, -EINVAL, "unix socket '%s': the path is too long (107 at most)",
			       o->unix_socket);
	if (o->version == HTTP_2_PRIOR && !curl->http2)
		return err_set(err, -ENOTSUP, "libcurl %s here has no HTTP/2", curl->version);
	return 0;
}

/* Keeps the first failure: one check at the end is enough. */
struct setter {
	const struct curl_api *curl;
	CURL *easy;
	CURLcode code;
	const char *what;
};

#define SET(s, option, value)                                                                      \
	do {                                                                                       \
		CURLcode code_ = (s)->curl->easy_setopt((s)->easy, CURLOPT_##option, value);       \
                                                                                                   \
		if (code_ != CURLE_OK && (s)->code == CURLE_OK) {                                  \
			(s)->code = code_;                                                         \
			(s)->what = #option;                                                       \
		}                                                                                  \
	} while (0)

#define SET_BLOB(s, option, bytes)                                                                 \
	do {                                                                                       \
		struct curl_blob blob_ = { (void *)(bytes).data, (bytes).len, CURL_BLOB_COPY };    \
                                                                                                   \
		SET(s, option, &blob_);                                                            \
	} while (0)

static void set_tls(struct setter *s, const struct http_opts *o)
{
	if (o->ca_file) {
		SET(s, CAINFO, o->ca_file);
		SET(s, CAPATH, NULL); /* these and no others */
	}
	if (o->ca_data.data) {
		SET_BLOB(s, CAINFO_BLOB, o->ca_data);
		SET(s, CAPATH, NULL);
	}
	if (o->cert_file)
		SET(s, SSLCERT, o->cert_file);
	if (o->key_file)
		SET(s, SSLKEY, o->key_file);
	if (o->cert_data.data)
		SET_BLOB(s, SSLCERT_BLOB, o->cert_data);
	if (o->key_data.data)
		SET_BLOB(s, SSLKEY_BLOB, o->key_data);
	if (o->insecure) {
		SET(s, SSL_VERIFYPEER, 0L);
		SET(s, SSL_VERIFYHOST, 0L);
	}
}

static void set_version(struct setter *s, const struct http_opts *o)
{
	static const long versions[] = { [HTTP_ANY] = CURL_HTTP_VERSION_2TLS,
					 [HTTP_1] = CURL_HTTP_VERSION_1_1,
					 [HTTP_2_PRIOR] = CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE };

	if (s->curl->http2 || o->version != HTTP_ANY)
		SET(s, HTTP_VERSION, versions[o->version]);
	/* libcurl 7.88 fails to use such a connection again: "Error in the HTTP2 framing layer" */
	if (o->version == HTTP_2_PRIOR) {
		SET(s, FRESH_CONNECT, 1L);
		SET(s, FORBID_REUSE, 1L);
	}
}

static void set_method(struct setter *s, const struct http_opts *o)
{
	const char *method = o->method ? o->method : o->body.data ? "POST" : "GET";

	if (o->body.data) {
		SET(s, POSTFIELDSIZE_LARGE, (curl_off_t)o->body.len);
		SET(s, COPYPOSTFIELDS, o->body.data);
	} else if (str_eq(method, "POST")) {
		SET(s, POSTFIELDSIZE_LARGE, (curl_off_t)0);
		SET(s, COPYPOSTFIELDS, "");
	}
	if (str_eq(method, "HEAD"))
		SET(s, NOBODY, 1L); /* there is none, whatever its length says */
	else
		SET(s, CUSTOMREQUEST, method);
}

static bool add(struct http_request *r, const char *line)
{
	struct curl_slist *list = r->http->curl->slist_append(r->headers, line);

	if (list)
		r->headers = list;
	return list;
}

/* "name:" takes a header away that libcurl would add; "name;" is one with an empty value. */
static bool add_header(struct http_request *r, const struct http_header *h)
{
	char *line;
	bool done;

	if (asprintf(&line, *h->value ? "%s: %s" : "%s;", h->name, h->value) < 0)
		return false;
	done = add(r, line);
	free(line);
	return done;
}

static bool has_header(const struct http_opts *o, const char *name)
{
	for (size_t i = 0; i < o->headers.count; i++)
		if (strcasecmp(o->headers.list[i].name, name) == 0)
			return true;
	return false;
}

static bool add_headers(struct http_request *r, const struct http_opts *o)
{
	for (size_t i = 0; i < o->headers.count; i++)
		if (!add_header(r, &o->headers.list[i]))
			return false;
	/* what libcurl would say of a body by itself: that it is a form, and that it would wait */
	return (has_header(o, "content-type") || add(r, "Content-Type:")) && add(r, "Expect:");
}

int http_set_options(struct http_request *r, const struct http_opts *o, struct err *err)
{
	struct setter s = { .curl = r->http->curl, .easy = r->easy };
	uint64_t connect_ns = o->connect_timeout_ns ? o->connect_timeout_ns : CONNECT_TIMEOUT_NS;

	if (!add_headers(r, o))
		return err_set(err, -ENOMEM, "out of memory");
	SET(&s, URL, o->url);
	SET(&s, HTTPHEADER, r->headers);
	SET(&s, PROXY, "");
	SET(&s, NOSIGNAL, 1L);
	if (s.curl->names)
		SET(&s, QUICK_EXIT, 1L);
	SET(&s, CONNECTTIMEOUT_MS, (long)(connect_ns / NSEC_PER_MSEC) + 1);
	if (o->unix_socket)
		SET(&s, UNIX_SOCKET_PATH, o->unix_socket);
	set_version(&s, o);
	set_method(&s, o);
	set_tls(&s, o);
	if (s.code == CURLE_OK)
		return 0;
	return err_set(err, s.code == CURLE_OUT_OF_MEMORY ? -ENOMEM : -ENOTSUP,
		       "libcurl %s here does not take the option %s: %s", s.curl->version, s.what,
		       s.curl->easy_strerror(s.code));
}
