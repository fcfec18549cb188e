/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "inside_frames.h"
#include "util.h"

void frames_start(struct frames *f, int fd)
{
	*f = (struct frames){ .fd = fd };
}

void frames_end(struct frames *f)
{
	close_fd(&f->fd);
	free(f->in.bytes);
	free(f->out.bytes);
	*f = (struct frames){ .fd = -1 };
}

static bool make_room(struct buffer *b, size_t more)
{
	size_t size = b->size ? b->size : 4096;
	char *p;

	while (size < b->len + more)
		size *= 2;
	if (size == b->size)
		return true;
	p = realloc(b->bytes, size);
	if (!p)
		return false;
	b->bytes = p;
	b->size = size;
	return true;
}

bool frames_read(struct frames *f)
{
	ssize_t n;

	if (f->has_nul)
		f->in.bytes[f->in_at] = f->under;
	f->has_nul = false;
	if (f->in_at) {
		memmove(f->in.bytes, f->in.bytes + f->in_at, f->in.len - f->in_at);
		f->in.len -= f->in_at;
		f->in_at = 0;
	}
	/* one more for the NUL behind a frame */
	if (!make_room(&f->in, 4097))
		return false;
	n = recv(f->fd, f->in.bytes + f->in.len, f->in.size - f->in.len - 1, MSG_DONTWAIT);
	if (n > 0)
		f->in.len += (size_t)n;
	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

int frames_next(struct frames *f, struct frame *frame)
{
	size_t left = f->in.len - f->in_at;
	char *at;
	uint32_t len;

	/* what the NUL behind the last one has overwritten */
	if (f->has_nul)
		f->in.bytes[f->in_at] = f->under;
	f->has_nul = false;
	if (left < FRAME_HEAD)
		return 0;
	at = f->in.bytes + f->in_at;
	memcpy(&len, at, sizeof(len));
	if (len > FRAME_MAX)
		return -1;
	if (left < FRAME_HEAD + len)
		return 0;
	*frame = (struct frame){ at[4], at + FRAME_HEAD, len };
	f->in_at += FRAME_HEAD + len;
	f->under = f->in.bytes[f->in_at];
	f->in.bytes[f->in_at] = '\0';
	f->has_nul = true;
	return 1;
}

size_t frames_kept(const struct frames *f)
{
	return f->out.len;
}

bool frames_flush(struct frames *f)
{
	while (f->out.len) {
		ssize_t n = send(f->fd, f->out.bytes, f->out.len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN;
		f->out.len -= (size_t)n;
		memmove(f->out.bytes, f->out.bytes + n, f->out.len);
	}
	return true;
}

static void put(struct buffer *b, const void *data, size_t len)
{
	memcpy(b->bytes + b->len, data, len);
	b->len += len;
}

static bool begin(struct frames *f, char kind, size_t len)
{
	uint32_t n = (uint32_t)len;

	if (len > FRAME_MAX || !make_room(&f->out, FRAME_HEAD + len))
		return false;
	put(&f->out, &n, sizeof(n));
	put(&f->out, &kind, 1);
	return true;
}

bool frames_send(struct frames *f, char kind, const void *data, size_t len)
{
	if (!begin(f, kind, len))
		return false;
	put(&f->out, data, len);
	return frames_flush(f);
}

bool frames_send_list(struct frames *f, char kind, const uint32_t *number, const char *const *texts,
		      int n)
{
	size_t len = number ? sizeof(*number) : 0;

	for (int i = 0; i < n; i++)
		len += strlen(texts[i]) + 1;
	if (!begin(f, kind, len))
		return false;
	if (number)
		put(&f->out, number, sizeof(*number));
	for (int i = 0; i < n; i++)
		put(&f->out, texts[i], strlen(texts[i]) + 1);
	return frames_flush(f);
}

int frame_list(const char *data, size_t len, const char **texts, int max)
{
	const char *end = data + len;
	int n = 0;

	while (data < end && n < max) {
		texts[n++] = data;
		data += strlen(data) + 1;
	}
	return n;
}
