/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * inside_frames.h - what `bpfnet repl --attach` and the process that it is attached to say to each other.
 *
 * A frame is its length in 4 bytes of this machine's order, a letter that says what it is, and that many bytes. Nothing
 * here ever waits.
 */
#ifndef BPFNET_INSIDE_FRAMES_H
#define BPFNET_INSIDE_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	/* from the client */
	FRAME_HELLO = 'H', /* struct frame_hello */
	FRAME_LINE = 'L', /* text */
	FRAME_TAB = 'T', /* uint32_t cursor, text */
	FRAME_RESET = 'R', /* forget an unfinished statement; answered by FRAME_PROMPT */
	FRAME_INTERRUPT = 'I', /* also while a line runs */
	FRAME_SIZE = 'S', /* uint32_t columns, rows */
	/* from the script */
	FRAME_OUT = 'o', /* text */
	FRAME_ABOVE = 'a', /* the block's lines, each with its NUL */
	FRAME_PROMPT = 'p', /* the next one is asked for: 'd' (done) or 'm' (more), text */
	FRAME_WORDS = 'w', /* uint32_t from, words, each with its NUL */
	FRAME_END = 'e', /* text: why */
};

struct frame_hello {
	char version[32];
	uint32_t columns, rows;
	uint8_t tty, colour, moves;
};

/* More than this is in no frame. */
#define FRAME_MAX  (1 << 20)
#define FRAME_HEAD 5

struct buffer {
	char *bytes;
	size_t len, size;
};

struct frames {
	int fd;
	struct buffer in, out;
	size_t in_at;
	bool has_nul; /* behind the last frame, in the place of: */
	char under;
};

struct frame {
	char kind;
	const char *data; /* with a NUL behind it; until the next call */
	size_t len;
};

/* Takes over fd, which must not block. */
void frames_start(struct frames *f, int fd);
void frames_end(struct frames *f);
/* Reads what there is. False: the other side has gone. */
bool frames_read(struct frames *f);
/* 1: a frame; 0: none yet; -1: what comes is nonsense. */
int frames_next(struct frames *f, struct frame *frame);
/* Sends, or keeps what the other side has no room for. False: it has gone, or out of memory. */
bool frames_send(struct frames *f, char kind, const void *data, size_t len);
/* Sends on what was kept; the same. */
bool frames_flush(struct frames *f);
/* Bytes that are kept. */
size_t frames_kept(const struct frames *f);
/* A frame of texts, each with its NUL, behind a number if that is not NULL. The same as frames_send(). */
bool frames_send_list(struct frames *f, char kind, const uint32_t *number, const char *const *texts,
		      int n);
/* The texts of such a list, up to max of them; returns how many. */
int frame_list(const char *data, size_t len, const char **texts, int max);

#endif
