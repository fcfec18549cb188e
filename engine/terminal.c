/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include "terminal.h"
#include "terminal_block.h"
#include "terminal_end.h"
#include "util.h"
#include "width.h"

/* More than this is written at once, and the line comes back after it. */
#define MAX_PENDING (256 << 10)

static struct {
	bool started;
	bool gone; /* nobody is there to read */
	FILE *saved_out, *saved_err, *out;
	struct terminal_line line;
	bool has_line;
	bool shown; /* the block and the line are on the screen, or will be when `pending` is written */
	struct width_place end; /* of the output: where it goes on */
	bool below; /* the cursor is on the line below that one, which has not been ended */
	char *pending;
	size_t len, size;
} t;

bool terminal_is_tty(void)
{
	return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
}

bool terminal_can_move(void)
{
	static const char *const cannot[] = { "dumb", "emacs", "unknown", "network", "dialup", "" };
	const char *term = getenv("TERM");

	if (!terminal_is_tty() || !term)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(cannot); i++)
		if (str_eq(term, cannot[i]))
			return false;
	return true;
}

bool terminal_colour(void)
{
	const char *no = getenv("NO_COLOR");

	return terminal_can_move() && !(no && *no);
}

void terminal_size(int *columns, int *rows)
{
	struct winsize ws = { 0 };

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) || !ws.ws_col || !ws.ws_row)
		ws = (struct winsize){ .ws_col = 80, .ws_row = 24 };
	*columns = ws.ws_col;
	*rows = ws.ws_row;
}

static int columns_now(void)
{
	int columns, rows;

	terminal_size(&columns, &rows);
	return columns;
}

static void write_pending(void)
{
	size_t done = 0;

	while (done < t.len && !t.gone) {
		ssize_t n = write(STDOUT_FILENO, t.pending + done, t.len - done);

		if (n > 0)
			done += (size_t)n;
		else if (errno == EAGAIN)
			poll(&(struct pollfd){ .fd = STDOUT_FILENO, .events = POLLOUT }, 1, -1);
		else if (errno != EINTR)
			t.gone = true;
	}
	t.len = 0;
}

static void add(const char *data, size_t len)
{
	if (t.len + len > t.size) {
		size_t size = t.len + len + 4096;
		char *p = realloc(t.pending, size);

		if (!p)
			return;
		t.pending = p;
		t.size = size;
	}
	memcpy(t.pending + t.len, data, len);
	t.len += len;
}

static void add_text(const char *text)
{
	add(text, strlen(text));
}

/* Takes the block and the line away: the cursor is where their first line was. */
void terminal_hide(void)
{
	char up[32];
	int rows;

	if (!t.shown)
		return;
	t.shown = false;
	rows = t.line.cursor_row(t.line.arg) + block_rows(columns_now());
	if (!terminal_can_move()) {
		add_text("\r");
		for (int i = columns_now() - 1; i; i--)
			add_text(" ");
		add_text("\r");
		return;
	}
	snprintf(up, sizeof(up), "\033[%dA", rows);
	add_text(rows ? up : "");
	add_text("\r\033[J");
}

/* Back to the end of output that has not ended its line. */
static void go_on_behind(void)
{
	char move[48];

	if (!t.below)
		return;
	t.below = false;
	snprintf(move, sizeof(move), "\033[A\033[%dC", t.end.column);
	if (terminal_can_move())
		add_text(move);
	else
		t.end.column = 0;
}

static void go_below(void)
{
	if (t.end.column && !t.below)
		add_text("\r\n");
	t.below = t.end.column != 0;
}

static void output(const char *data, size_t len)
{
	int columns = columns_now();

	terminal_hide();
	go_on_behind();
	width_move(&t.end, data, len, columns);
	t.end.row = 0;
	add(data, len);
	if (!t.has_line || t.len > MAX_PENDING)
		write_pending();
}

void terminal_lend(void)
{
	if (!t.started)
		return;
	fflush(stdout);
	terminal_hide();
	go_on_behind();
	t.end = (struct width_place){
		0
	}; /* where the child ends is not known: at a line's start, if it is as most */
	write_pending();
}

void terminal_write(const char *text, size_t len)
{
	if (!t.started) {
		fwrite(text, 1, len, stdout);
		return;
	}
	fflush(stdout);
	output(text, len);
}

static void show(void)
{
	go_below();
	if (terminal_can_move())
		block_draw(t.out, columns_now());
	t.line.draw(t.line.arg);
	t.shown = true;
}

void terminal_refresh(void)
{
	if (!t.started || !t.has_line)
		return;
	fflush(stdout);
	if (!t.shown)
		show();
	write_pending();
}

void terminal_set_line(const struct terminal_line *line)
{
	terminal_hide();
	t.has_line = line != NULL;
	if (line)
		t.line = *line;
	else
		write_pending();
}

void terminal_clear(void)
{
	t.shown = t.below = false;
	t.end = (struct width_place){ 0 };
	if (terminal_can_move())
		add_text("\033[H\033[2J");
}

void terminal_forget(void)
{
	t.shown = t.below = false;
	t.end = (struct width_place){ 0 };
}

void terminal_commit(const char *text, size_t len)
{
	terminal_hide();
	go_below();
	add(text, len);
	add_text("\r\n");
	t.end = (struct width_place){ 0 };
	t.below = false;
}

FILE *terminal_out(void)
{
	return t.out;
}

bool terminal_above(const char *const *lines, int n)
{
	int columns, rows;

	if (!t.started || !terminal_can_move())
		return false;
	terminal_size(&columns, &rows);
	terminal_hide(); /* it knows how much is shown by the old one */
	/* one for the line, one that output can be seen in */
	return block_set(lines, n < rows - 2 ? n : rows - 2);
}

static ssize_t write_others(void *cookie, const char *data, size_t len)
{
	(void)cookie;
	output(data, len);
	return (ssize_t)len;
}

static ssize_t write_line(void *cookie, const char *data, size_t len)
{
	(void)cookie;
	add(data, len);
	return (ssize_t)len;
}

static FILE *stream(cookie_write_function_t *fn, int mode)
{
	FILE *f = fopencookie(NULL, "w", (cookie_io_functions_t){ .write = fn });

	if (f)
		setvbuf(f, NULL, mode, BUFSIZ);
	return f;
}

/* glibc's stdout is a variable, which print(), io.write and printf() read each time, or once at their start. */
void terminal_start(void)
{
	if (t.started || !terminal_is_tty())
		return;
	fflush(stdout);
	t.out = stream(write_line, _IONBF);
	t.saved_out = stdout;
	t.saved_err = stderr;
	stdout = stream(write_others, _IOLBF);
	if (isatty(STDERR_FILENO))
		stderr = stream(write_others, _IONBF);
	if (!t.out || !stdout || !stderr) { /* out of memory: others' output may tear the line */
		stdout = t.saved_out;
		stderr = t.saved_err;
		return;
	}
	t.started = true;
	t.gone = false;
	end_watch();
}

void terminal_stop(void)
{
	if (!t.started)
		return;
	fflush(stdout);
	terminal_set_line(NULL);
	t.started = false;
	block_set(NULL, 0);
	if (stdout != t.saved_out)
		fclose(stdout);
	if (stderr != t.saved_err)
		fclose(stderr);
	stdout = t.saved_out;
	stderr = t.saved_err;
	fclose(t.out);
	free(t.pending);
	t.pending = NULL;
	t.len = t.size = 0;
	end_unwatch();
}
