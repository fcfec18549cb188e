// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What went wrong: the first errors in full, the others counted. */
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>

#include "torture.h"

static char texts[MAX_ERRORS][800];
static atomic_int errors;

static const char *const states[] = { "?",          "ESTABLISHED", "SYN_SENT",  "SYN_RECV",
				      "FIN_WAIT1",  "FIN_WAIT2",   "TIME_WAIT", "CLOSE",
				      "CLOSE_WAIT", "LAST_ACK",    "LISTEN",    "CLOSING" };

/* After many of them the run ends. */
void error_add(const char *fmt, ...)
{
	int n = errors++;
	va_list args;

	if (n + 1 >= MAX_ERRORS)
		stopping = true;
	if (n >= MAX_ERRORS)
		return;
	va_start(args, fmt);
	vsnprintf(texts[n], sizeof(texts[n]), fmt, args);
	va_end(args);
}

/* The first error of a connection counts, and ends it. */
void conn_fail(struct conn *c, const char *fmt, ...)
{
	char text[700];
	va_list args;

	if (atomic_exchange(&c->failed, true))
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	error_add("connection %ju (%s, %s, %s to %s): %s", (uintmax_t)c->id, kind_names[c->kind],
		  family_names[c->family], mode_names[c->end[0].mode], mode_names[c->end[1].mode],
		  text);
}

int errors_count(void)
{
	return errors;
}

/* As a JSON list. */
void errors_print(FILE *out)
{
	int n = errors < MAX_ERRORS ? errors : MAX_ERRORS;

	fputc('[', out);
	for (int i = 0; i < n; i++)
		fprintf(out, "%s\"%s\"", i ? "," : "", texts[i]);
	fputc(']', out);
}

static const char *state_of(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return "closed";
	return states[info.tcpi_state < 12 ? info.tcpi_state : 0];
}

static void describe(struct end *e, char *text, size_t room)
{
	int in = -1, out = -1;

	if (e->fd < 0) {
		snprintf(text, room, "%s: not begun", e->side ? "server" : "client");
		return;
	}
	ioctl(e->fd, SIOCINQ, &in);
	ioctl(e->fd, SIOCOUTQ, &out);
	snprintf(text, room,
		 "%s: wrote %ju of %ju in segments up to %d of %d, read %ju and %d of %d segments, "
		 "%s, %d to be read, %d not acknowledged%s%s%s",
		 e->side ? "server" : "client", (uintmax_t)e->tx, (uintmax_t)e->tx_end, e->tx_seg,
		 plan_segments(e->conn, e->side), (uintmax_t)e->rx, e->rx_seg,
		 plan_segments(e->conn, !e->side), state_of(e->fd), in, out,
		 e->shut ? ", has shut down" : "", e->eof ? ", saw the end" : "",
		 e->pause_until ? ", pauses" : "");
}

static void stuck(struct conn *c)
{
	char ends[2][300];

	describe(&c->end[0], ends[0], sizeof(ends[0]));
	describe(&c->end[1], ends[1], sizeof(ends[1]));
	conn_fail(c, "no progress for %d s; %s; %s", opt.patience, ends[0], ends[1]);
}

/* Are there connections without progress for so long? They are errors, and won't end. */
bool errors_stuck(void)
{
	return conns_idle(opt.patience * 1000, stuck) > 0;
}
