/*
 * wire.h: WebSocket connections on one epoll, and lib0's integers. What load.c and relay.c have in common.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

enum { BINARY = 2, CLOSE = 8, PING = 9, PONG = 10 };
enum { SYNC = 0, AWARENESS = 1, AUTH = 2, STEP_1 = 0, STEP_2 = 1, UPDATE = 2 };
enum { PLAIN = 0, MASKED = 0x80 };
enum { AT_ONCE = 65536 };

typedef struct {
    uint8_t *bytes;
    size_t start, end, room;
} Buffer;

/* A connection; the first member of whatever stands for one. */
typedef struct {
    int fd, upgraded, closed;
    Buffer in, out;
} Line;

typedef struct {
    int kind;
    uint8_t *bytes, *end;
} Frame;

static int poller;

static void allow_many_files(void) {
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

static uint8_t *make_room(Buffer *b, size_t size) {
    if (b->start == b->end) b->start = b->end = 0;
    if (b->end + size > b->room) {
        if (b->start) memmove(b->bytes, b->bytes + b->start, b->end - b->start);
        b->end -= b->start;
        b->start = 0;
        if (b->end + size > b->room) b->bytes = realloc(b->bytes, b->room = (b->end + size) * 2);
    }
    return b->bytes + b->end;
}

static void add(Buffer *b, const void *data, size_t size) {
    memcpy(make_room(b, size), data, size);
    b->end += size;
}

static void watch(Line *l, int how, uint32_t events) {
    struct epoll_event e = {events, {.ptr = l}};
    epoll_ctl(poller, how, l->fd, &e);
}

/* Takes over a connected socket. */
static void begin(Line *l, int fd) {
    int on = 1;
    l->fd = fd;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    watch(l, EPOLL_CTL_ADD, EPOLLIN);
}

static void hang_up(Line *l) {
    close(l->fd);
    free(l->in.bytes);
    free(l->out.bytes);
}

/* Sends what the kernel takes now; the rest when it says so. */
static void flush(Line *l) {
    while (l->out.start < l->out.end) {
        ssize_t n = send(l->fd, l->out.bytes + l->out.start, l->out.end - l->out.start, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno == EAGAIN) watch(l, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
            else l->closed = 1;
            return;
        }
        l->out.start += n;
    }
}

static void flush_when_told(Line *l) {
    watch(l, EPOLL_CTL_MOD, EPOLLIN);
    flush(l);
}

/* Reads once. A line that has ended is marked closed, and not watched any more. */
static void receive(Line *l) {
    ssize_t size = recv(l->fd, make_room(&l->in, AT_ONCE), AT_ONCE, 0);
    if (size > 0) l->in.end += size;
    else if (size == 0 || errno != EAGAIN) {
        l->closed = 1;
        epoll_ctl(poller, EPOLL_CTL_DEL, l->fd, NULL);
    }
}

/* The end of an HTTP head, whose bytes are taken; NULL while it is incomplete. */
static char *take_head(Line *l) {
    char *begin = (char *)l->in.bytes + l->in.start, *end = memmem(begin, l->in.end - l->in.start, "\r\n\r\n", 4);
    if (end) l->in.start += end + 4 - begin;
    return end;
}

/* A frame's head, RFC 6455, section 5.2; what is masked is masked with zeros, and so is left as it is. */
static void add_head(Buffer *b, int kind, size_t size, int masked) {
    uint8_t head[14] = {0x80 | kind};
    int n = 1;
    if (size < 126) head[n++] = masked | size;
    else if (size < 65536) head[n++] = masked | 126, head[n++] = size >> 8, head[n++] = size;
    else {
        head[n++] = masked | 127;
        for (int shift = 56; shift >= 0; shift -= 8) head[n++] = (uint64_t)size >> shift;
    }
    add(b, head, masked ? n + 4 : n);
}

/* Takes one whole frame from what was received; 0 if there is none. It is valid until the next receive(). */
static int take_frame(Line *l, Frame *frame) {
    uint8_t *f = l->in.bytes + l->in.start;
    uint64_t have = l->in.end - l->in.start, head = 2, size;
    if (have < 2) return 0;
    int masked = f[1] & MASKED;
    if ((size = f[1] & 127) >= 126) {
        int bytes = size == 126 ? 2 : 8;
        if (have < (head += bytes)) return 0;
        size = 0;
        for (int i = 0; i < bytes; i++) size = size << 8 | f[2 + i];
    }
    if (masked) head += 4;
    if (have < head + size) return 0;
    l->in.start += head + size;
    *frame = (Frame){f[0] & 15, f + head, f + head + size};
    for (uint64_t i = 0; masked && i < size; i++) frame->bytes[i] ^= f[head - 4 + (i & 3)];
    return 1;
}

static inline int put_uint(uint8_t *b, uint64_t value) {
    int n = 0;
    for (; value > 127; value >>= 7) b[n++] = 128 | (value & 127);
    b[n++] = value;
    return n;
}

/* Takes an integer from before end; beyond the end there are zeros. */
static inline uint64_t take_uint(const uint8_t **p, const uint8_t *end) {
    uint64_t value = 0;
    for (int shift = 0; *p < end && shift < 64; shift += 7) {
        uint8_t byte = *(*p)++;
        value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) break;
    }
    return value;
}
