/*
 * load: what people typing in many documents put on a server that speaks the Yjs sync protocol over WebSocket.
 *
 *     load --port P [--path /ws/%s] [--protocol y-websocket|hocuspocus] [--prefix NAME] [--rooms R] [--clients C]
 *          [--writers W] [--window K | --rate HZ] [--seconds S]
 *
 * Opens C connections to each of R rooms, of which W write. Every update appends eight bytes, "~" and a number of
 * seven base-32 digits, to its writer's run of text; every other client of the room looks for these markers in
 * whatever it receives, however the server has packed them. Closed loop (--window): a writer has K updates in
 * flight, and sends the next when its neighbour has seen one, so updates/s is throughput at saturation and the
 * latencies are those of a saturated server. Open loop (--rate): each writer types at a fixed pace.
 *
 * One thread, one epoll, updates made by hand: so that it is the server that is measured. After two seconds of
 * warming up it measures for S seconds, then waits until everything sent has been delivered, and prints one JSON object.
 * Exits with 1 if anything is missing or a connection was closed.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { SYNC = 0, AUTH = 2, STEP_1 = 0, STEP_2 = 1, UPDATE = 2 };
enum { BINARY = 2, CLOSE = 8, PING = 9, PONG = 10 };
enum { MARKER = 8, WARM_UP = 2 };

static const char DIGITS[] = "0123456789abcdefghijklmnopqrstuv";

typedef struct {
    uint8_t *bytes;
    size_t start, end, room;
} Buffer;

typedef struct {
    int fd, room, index;
    int upgraded, authenticated, synced, writes, closed;
    uint32_t id;
    uint64_t clock;
    int in_flight;
    double next_at;
    Buffer in, out;
} Client;

static int port, rooms = 1, clients = 2, writers = -1, window = 1, hocuspocus;
static double rate, seconds = 5;
static const char *path = "/ws/%s", *prefix = "room";

static int poller;
static Client *all;

static double *sent_at; /* by number of the update */
static int *sent_by;
static uint64_t sent, sent_room, delivered;

static int typing, measuring;
static double measuring_since;
static uint64_t sent_measured;

/* Latencies in classes one per cent apart, from a microsecond to some hundred seconds. */
enum { CLASSES = 2000 };
static uint64_t latencies[CLASSES];

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static void note_latency(double s) {
    int class = s > 1e-6 ? (int)(log(s * 1e6) / log(1.01)) : 0;
    latencies[class < CLASSES ? class : CLASSES - 1]++;
}

static double percentile_ms(double share) {
    uint64_t total = 0, so_far = 0;
    for (int i = 0; i < CLASSES; i++) total += latencies[i];
    for (int i = 0; i < CLASSES; i++)
        if ((so_far += latencies[i]) >= share * total && total) return pow(1.01, i) / 1e3;
    return -1;
}

/* Bytes in and out */

static uint8_t *make_room(Buffer *b, size_t size) {
    if (b->start == b->end) b->start = b->end = 0;
    if (b->end + size > b->room) {
        memmove(b->bytes, b->bytes + b->start, b->end - b->start);
        b->end -= b->start;
        b->start = 0;
        if (b->end + size > b->room) b->bytes = realloc(b->bytes, b->room = (b->end + size) * 2);
    }
    return b->bytes + b->end;
}

static void watch(Client *c, uint32_t events) {
    struct epoll_event e = {events, {.ptr = c}};
    epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &e);
}

static void flush(Client *c) {
    while (c->out.start < c->out.end) {
        ssize_t n = send(c->fd, c->out.bytes + c->out.start, c->out.end - c->out.start, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno == EAGAIN) watch(c, EPOLLIN | EPOLLOUT);
            else c->closed = 1;
            return;
        }
        c->out.start += n;
    }
}

static void put(Client *c, const void *data, size_t size) {
    memcpy(make_room(&c->out, size), data, size);
    c->out.end += size;
}

/* A frame masked with zeros, RFC 6455, section 5.2. */
static void send_frame(Client *c, int kind, const uint8_t *payload, size_t size) {
    uint8_t head[8] = {0x80 | kind};
    int n = 1;
    if (size < 126) head[n++] = 0x80 | size;
    else head[n++] = 0x80 | 126, head[n++] = size >> 8, head[n++] = size;
    put(c, head, n + 4);
    put(c, payload, size);
    flush(c);
}

/* The protocol */

static int put_uint(uint8_t *b, uint64_t value) {
    int n = 0;
    for (; value > 127; value >>= 7) b[n++] = 128 | (value & 127);
    b[n++] = value;
    return n;
}

/* What stands before each Hocuspocus message: the document's name. */
static int put_address(Client *c, uint8_t *b) {
    char name[64];
    if (!hocuspocus) return 0;
    int size = snprintf(name, sizeof name, "%s%d", prefix, c->room), n = put_uint(b, size);
    memcpy(b + n, name, size);
    return n + size;
}

static void send_sync(Client *c, int step, const uint8_t *body, int size) {
    uint8_t b[256];
    int n = put_address(c, b);
    b[n++] = SYNC;
    b[n++] = step;
    n += put_uint(b + n, size);
    memcpy(b + n, body, size);
    send_frame(c, BINARY, b, n + size);
}

static void ask_for_state(Client *c) { send_sync(c, STEP_1, (const uint8_t[]){0}, 1); }

static void authenticate(Client *c) {
    static const uint8_t token[] = {AUTH, 0, 1, 'x', 5, '4', '.', '0', '.', '0'};
    uint8_t b[128];
    int n = put_address(c, b);
    memcpy(b + n, token, sizeof token);
    send_frame(c, BINARY, b, n + sizeof token);
}

/* One item: a string of eight bytes after the writer's last, or the first one in the root "t". */
static void type(Client *c) {
    uint8_t u[64];
    int n = 0;
    u[n++] = 1;
    u[n++] = 1;
    n += put_uint(u + n, c->id);
    n += put_uint(u + n, c->clock);
    if (c->clock == 0) {
        static const uint8_t at_root[] = {0x04, 1, 1, 't'};
        memcpy(u + n, at_root, sizeof at_root);
        n += sizeof at_root;
    } else {
        u[n++] = 0x84;
        n += put_uint(u + n, c->id);
        n += put_uint(u + n, c->clock - 1);
    }
    u[n++] = MARKER;
    u[n++] = '~';
    for (int shift = 30; shift >= 0; shift -= 5) u[n++] = DIGITS[(sent >> shift) & 31];
    u[n++] = 0;
    c->clock += MARKER;
    if (sent == sent_room) {
        sent_room = sent_room ? sent_room * 2 : 1 << 20;
        sent_at = realloc(sent_at, sent_room * sizeof *sent_at);
        sent_by = realloc(sent_by, sent_room * sizeof *sent_by);
    }
    sent_at[sent] = now();
    sent_by[sent++] = c - all;
    sent_measured += measuring;
    c->in_flight++;
    send_sync(c, UPDATE, u, n);
}

static void on_marker(Client *c, uint64_t number) {
    Client *writer = all + sent_by[number];
    if (writer->room != c->room) {
        fprintf(stderr, "room %d got what was written in room %d\n", c->room, writer->room);
        exit(3);
    }
    if (writer == c) return; /* some servers send it back */
    delivered++;
    if (measuring && sent_at[number] >= measuring_since) note_latency(now() - sent_at[number]);
    if ((writer->index + 1) % clients == c->index) {
        writer->in_flight--;
        while (typing && !rate && writer->in_flight < window) type(writer);
    }
}

static void look_for_markers(Client *c, const uint8_t *p, const uint8_t *end) {
    while ((p = memchr(p, '~', end - p)) && end - p >= MARKER) {
        uint64_t number = 0;
        int i = 1;
        for (; i < MARKER; i++) {
            const char *digit = p[i] ? strchr(DIGITS, p[i]) : NULL;
            if (!digit) break;
            number = number << 5 | (digit - DIGITS);
        }
        if (i == MARKER && number < sent) {
            on_marker(c, number);
            p += MARKER;
        } else p++;
    }
}

static void on_message(Client *c, const uint8_t *p, const uint8_t *end) {
    if (hocuspocus && p < end) p += 1 + p[0]; /* names here are shorter than 128 bytes */
    if (end - p < 2) return;
    if (hocuspocus && p[0] == AUTH && !c->authenticated) {
        c->authenticated = 1;
        ask_for_state(c);
    }
    if (p[0] == SYNC && p[1] == STEP_1) send_sync(c, STEP_2, (const uint8_t[]){0, 0}, 2);
    if (p[0] == SYNC && p[1] == STEP_2) c->synced = 1;
    if (p[0] == SYNC) look_for_markers(c, p, end);
}

/* Takes one frame from what was received; 0 if there is none. */
static int take_frame(Client *c) {
    uint8_t *f = c->in.bytes + c->in.start;
    uint64_t have = c->in.end - c->in.start, head = 2, size;
    if (have < 2) return 0;
    if ((size = f[1] & 127) >= 126) {
        int bytes = size == 126 ? 2 : 8;
        if (have < (head += bytes)) return 0;
        size = 0;
        for (int i = 0; i < bytes; i++) size = size << 8 | f[2 + i];
    }
    if (have < head + size) return 0;
    c->in.start += head + size;
    switch (f[0] & 15) {
    case CLOSE:
        fprintf(stderr, "closed by the server with %d\n", size >= 2 ? f[head] << 8 | f[head + 1] : 0);
        c->closed = 1;
        return 0;
    case PING: send_frame(c, PONG, f + head, size); break;
    case BINARY: on_message(c, f + head, f + head + size);
    }
    return 1;
}

static void on_bytes(Client *c) {
    if (!c->upgraded) {
        uint8_t *end = memmem(c->in.bytes, c->in.end, "\r\n\r\n", 4);
        if (!end) return;
        if (memcmp(c->in.bytes + 9, "101", 3)) {
            fprintf(stderr, "refused: %.60s\n", (char *)c->in.bytes);
            exit(2);
        }
        c->upgraded = 1;
        c->in.start = end + 4 - c->in.bytes;
        if (hocuspocus) authenticate(c);
        else ask_for_state(c);
    }
    while (!c->closed && take_frame(c)) {}
}

static void dial(Client *c) {
    char name[64], target[256], request[512];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct epoll_event e = {EPOLLIN, {.ptr = c}};
    int on = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(c->fd, (void *)&address, sizeof address)) perror("connect"), exit(2);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &e);
    snprintf(name, sizeof name, "%s%d", prefix, c->room);
    snprintf(target, sizeof target, path, name);
    put(c, request, snprintf(request, sizeof request,
        "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n", target, port));
    flush(c);
}

static void serve_events(int milliseconds) {
    struct epoll_event events[256];
    int n = epoll_wait(poller, events, 256, milliseconds);
    for (int i = 0; i < n; i++) {
        Client *c = events[i].data.ptr;
        if (c->closed) continue;
        if (events[i].events & EPOLLOUT) {
            watch(c, EPOLLIN);
            flush(c);
        }
        if (events[i].events & ~EPOLLOUT) {
            ssize_t size = recv(c->fd, make_room(&c->in, 32768), 32768, 0);
            if (size < 0 && errno == EAGAIN) continue;
            if (size <= 0) {
                c->closed = 1;
                epoll_ctl(poller, EPOLL_CTL_DEL, c->fd, NULL);
                continue;
            }
            c->in.end += size;
            on_bytes(c);
        }
    }
}

static void read_options(int count, char **words) {
    for (int i = 1; i + 1 < count; i += 2) {
        const char *name = words[i], *value = words[i + 1];
        if (!strcmp(name, "--port")) port = atoi(value);
        else if (!strcmp(name, "--path")) path = value;
        else if (!strcmp(name, "--protocol")) hocuspocus = !strcmp(value, "hocuspocus");
        else if (!strcmp(name, "--prefix")) prefix = value;
        else if (!strcmp(name, "--rooms")) rooms = atoi(value);
        else if (!strcmp(name, "--clients")) clients = atoi(value);
        else if (!strcmp(name, "--writers")) writers = atoi(value);
        else if (!strcmp(name, "--window")) window = atoi(value);
        else if (!strcmp(name, "--rate")) rate = atof(value);
        else if (!strcmp(name, "--seconds")) seconds = atof(value);
        else fprintf(stderr, "unknown option %s\n", name), exit(2);
    }
    if (writers < 0) writers = clients;
}

static int count_of(int (*what)(const Client *)) {
    int n = 0;
    for (int i = 0; i < rooms * clients; i++) n += what(all + i);
    return n;
}

static int is_synced(const Client *c) { return c->synced; }
static int is_open(const Client *c) { return !c->closed; }

static void connect_all(void) {
    int n = rooms * clients;
    uint32_t seed = getpid();
    all = calloc(n, sizeof *all);
    for (int i = 0; i < n; i++) {
        Client *c = all + i;
        c->room = i / clients;
        c->index = i % clients;
        c->writes = c->index < writers;
        c->id = (seed * 100003u + i * 7919u) % 2000000000u + 1;
        dial(c);
        serve_events(i % 32 == 31 ? 1 : 0);
    }
    for (double give_up = now() + 60; count_of(is_synced) < n;) {
        serve_events(5);
        if (now() > give_up) fprintf(stderr, "%d of %d synced\n", count_of(is_synced), n), exit(2);
    }
}

static void type_for(double duration) {
    double start = now(), until = start + WARM_UP + duration;
    for (int i = 0; i < rooms * clients; i++) {
        Client *c = all + i;
        c->next_at = start + (double)rand() / RAND_MAX / (rate ? rate : 1);
        while (c->writes && !rate && c->in_flight < window) type(c);
    }
    for (double t; (t = now()) < until;) {
        if (!measuring && t >= start + WARM_UP) measuring = 1, measuring_since = t;
        for (int i = 0; rate && i < rooms * clients; i++)
            for (Client *c = all + i; c->writes && !c->closed && c->next_at <= t; c->next_at += 1 / rate) type(c);
        serve_events(rate ? 1 : 20);
    }
}

int main(int count, char **words) {
    struct rlimit many = {1 << 16, 1 << 16};
    setrlimit(RLIMIT_NOFILE, &many);
    read_options(count, words);
    poller = epoll_create1(0);
    double begun = now();
    connect_all();
    double connected = now();

    struct rusage before, after;
    typing = 1;
    getrusage(RUSAGE_SELF, &before);
    type_for(seconds);
    typing = 0;
    getrusage(RUSAGE_SELF, &after);
    double measured = now() - measuring_since, busy = after.ru_utime.tv_sec - before.ru_utime.tv_sec
        + after.ru_stime.tv_sec - before.ru_stime.tv_sec
        + (after.ru_utime.tv_usec - before.ru_utime.tv_usec + after.ru_stime.tv_usec - before.ru_stime.tv_usec) * 1e-6;

    uint64_t expected = sent * (clients - 1), last = delivered;
    for (double quiet_since = now(); delivered < expected && now() - quiet_since < 5;) {
        serve_events(20);
        if (delivered != last) last = delivered, quiet_since = now();
    }
    int open = count_of(is_open);
    printf("{\"updates_per_s\": %.0f, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"sent\": %lu, \"missing\": %ld, "
        "\"closed\": %d, \"connect_s\": %.3f, \"own_cpu\": %.2f}\n",
        sent_measured / measured, percentile_ms(.5), percentile_ms(.99), sent, (long)(expected - delivered),
        rooms * clients - open, connected - begun, busy / (measured + WARM_UP));
    return delivered == expected && open == rooms * clients ? 0 : 1;
}
