/*
 * load: what people typing in many documents put on a server that speaks the Yjs sync protocol over WebSocket.
 *
 *     load --port P [--other-port P] [--path /ws/%s] [--protocol y-websocket|hocuspocus] [--prefix NAME] [--root NAME] [--seed FILE]
 *          [--rooms R] [--clients C] [--writers W] [--window K | --rate HZ | --pause S] [--cursors HZ]
 *          [--storms N --visitors V] [--seconds S]
 *
 * Opens C connections to each of R rooms, of which W write. Every update appends eight bytes, "~" and a number of
 * seven base-32 digits, to its writer's run of text; every other client of the room looks for these markers in
 * whatever it receives, however the server has packed them. Closed loop (--window): a writer has K updates in
 * flight, and sends the next when its neighbour has seen one, so updates/s is throughput at saturation and the
 * latencies are those of a saturated server. Open loop: each writer types at a fixed pace (--rate), or waits a
 * random time of 0 to S seconds before each edit (--pause).
 *
 * With --other-port every second client of a room connects there: to another server of the same documents.
 * --seed sends a file's bytes as the first update of the first room, before anybody else joins it. --cursors lets
 * everybody move a cursor, and treat presence as stock providers do. --storms lets V further clients join the first
 * room at once, N times, and leave again.
 *
 * One thread, one epoll, updates made by hand: so that it is the server that is measured. After two seconds of
 * warming up it measures for S seconds, then waits until everything sent has been delivered. It prints a JSON object
 * a line as it comes to each phase: "synced", "measuring", "measured" and, with all figures, "done".
 * Exits with 1 if anything is missing or a connection was closed.
 */
#include "wire.h"
#include <math.h>
#include <time.h>

enum { MARKER = 8, WARM_UP = 2, CONNECT_SECONDS = 120, QUIET_SECONDS = 5, BETWEEN_STORMS_MS = 250 };

static const char DIGITS[] = "0123456789abcdefghijklmnopqrstuv";

/* Latencies in classes one per cent apart, from a microsecond to some hundred seconds. */
enum { CLASSES = 2000 };
typedef struct {
    uint64_t classes[CLASSES], count;
    double sum;
} Latencies;

typedef struct {
    Line line;
    int room, index;
    int authenticated, synced, writes, visits;
    uint32_t id;
    uint64_t clock, state_size;
    int in_flight;
    double next_at, next_move_at;
    uint64_t cursor_clock, *heard;
} Client;

typedef struct {
    double at;
    Client *by;
    Latencies *kept_in;
} Edit;

static int port, other_port, rooms = 1, clients = 2, writers = -1, window = 1, hocuspocus, storms, visitors = 100;
static double rate, wait_up_to, cursor_rate, seconds = 5;
static const char *path = "/ws/%s", *prefix = "room", *root = "t", *seed;

static Client *all, *guests;

static Edit *edits; /* by the number in the marker */
static uint64_t sent, sent_room, delivered;
static Latencies calm, stormy, *keep; /* where what is sent now counts; NULL while it does not */

static int typing;
static uint64_t sent_measured, delivered_measured, messages, moves, moves_heard;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static double some(double upto) { return upto * rand() / RAND_MAX; }

static void note(Latencies *l, double s) {
    int class = s > 1e-6 ? (int)(log(s * 1e6) / log(1.01)) : 0;
    l->classes[class < CLASSES ? class : CLASSES - 1]++;
    l->count++;
    l->sum += s;
}

/* The middle of the class that it falls in. */
static double percentile_ms(const Latencies *l, double share) {
    uint64_t so_far = 0;
    for (int i = 0; i < CLASSES; i++)
        if ((so_far += l->classes[i]) >= share * l->count && l->count) return pow(1.01, i + .5) / 1e3;
    return -1;
}

/* The protocol */

/* What stands before each Hocuspocus message: the document's name. */
static int put_address(const Client *c, uint8_t *b) {
    char name[64];
    if (!hocuspocus) return 0;
    int size = snprintf(name, sizeof name, "%s%d", prefix, c->room), n = put_uint(b, size);
    memcpy(b + n, name, size);
    return n + size;
}

static void send_message(Client *c, const uint8_t *head, size_t head_size, const uint8_t *body, size_t size) {
    uint8_t address[80];
    int n = put_address(c, address);
    Buffer *out = &c->line.out;
    add_head(out, BINARY, n + head_size + size, MASKED);
    add(out, address, n);
    add(out, head, head_size);
    add(out, body, size);
    flush(&c->line);
}

static void send_sync(Client *c, int step, const uint8_t *body, size_t size) {
    uint8_t head[12] = {SYNC, step};
    send_message(c, head, 2 + put_uint(head + 2, size), body, size);
}

static void ask_for_state(Client *c) { send_sync(c, STEP_1, (const uint8_t[]){0}, 1); }

static void authenticate(Client *c) {
    static const uint8_t token[] = {AUTH, 0, 1, 'x', 5, '4', '.', '0', '.', '0'};
    send_message(c, token, sizeof token, NULL, 0);
}

/* One item: a string of eight bytes after the writer's last, or the first one in the root. */
static void type(Client *c) {
    uint8_t u[128] = {1, 1};
    int n = 2;
    n += put_uint(u + n, c->id);
    n += put_uint(u + n, c->clock);
    if (c->clock == 0) {
        u[n++] = 0x04;
        u[n++] = 1;
        n += put_uint(u + n, strlen(root));
        n += sprintf((char *)u + n, "%s", root);
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
    if (sent == sent_room) edits = realloc(edits, (sent_room = sent_room ? sent_room * 2 : 1 << 20) * sizeof *edits);
    edits[sent++] = (Edit){now(), c, keep};
    sent_measured += keep == &calm;
    c->in_flight++;
    send_sync(c, UPDATE, u, n);
}

static void on_marker(Client *c, uint64_t number) {
    Edit *edit = edits + number;
    Client *writer = edit->by;
    if (writer->room != c->room) {
        fprintf(stderr, "room %d got what was written in room %d\n", c->room, writer->room);
        exit(3);
    }
    if (writer == c || c->visits) return; /* some servers send it back; who visits has not seen all */
    delivered++;
    delivered_measured += keep == &calm;
    if (edit->kept_in) note(edit->kept_in, now() - edit->at);
    if ((writer->index + 1) % clients == c->index) {
        writer->in_flight--;
        while (typing && !rate && !wait_up_to && writer->in_flight < window) type(writer);
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

/* Presence */

static uint64_t id_of(int i) { return ((uint64_t)getpid() * 100003u + i * 7919u) % 2000000000u + 1; }

/* Who of the client's room has an id. */
static Client *find(const Client *c, uint64_t id) {
    static int *table, size;
    if (!table) {
        for (size = 64; size < rooms * clients * 2;) size *= 2;
        table = calloc(size, sizeof *table);
        for (int i = 0, at; i < rooms * clients; i++) {
            for (at = all[i].id % size; table[at]; at = (at + 1) % size) {}
            table[at] = i + 1;
        }
    }
    for (int at = id % size; table[at]; at = (at + 1) % size) {
        Client *found = all + table[at] - 1;
        if (found->id == id) return found->room == c->room ? found : NULL;
    }
    return NULL;
}

/* Entries of which each says who, its clock and what. */
static void send_presence(Client *c, int count, const uint8_t *entries, size_t size) {
    uint8_t head[24] = {AWARENESS}, number[10];
    int n = put_uint(number, count), m = 1 + put_uint(head + 1, n + size);
    memcpy(head + m, number, n);
    send_message(c, head, m + n, entries, size);
}

/* Says what CodeMirror's binding says: a name, a colour, and both ends of a selection. */
static void move(Client *c) {
    char state[400];
    uint8_t entry[512];
    int size = snprintf(state, sizeof state,
        "{\"user\":{\"name\":\"person %d\",\"color\":\"#30bced\",\"colorLight\":\"#30bced33\"},\"cursor\":{"
        "\"anchor\":{\"type\":null,\"tname\":\"%s\",\"item\":{\"client\":%u,\"clock\":%lu},\"assoc\":0},"
        "\"head\":{\"type\":null,\"tname\":\"%s\",\"item\":{\"client\":%u,\"clock\":%lu},\"assoc\":0}}}",
        c->index, root, c->id, c->cursor_clock, root, c->id, c->cursor_clock);
    int n = put_uint(entry, c->id);
    n += put_uint(entry + n, ++c->cursor_clock);
    n += put_uint(entry + n, size);
    memcpy(entry + n, state, size);
    moves += keep == &calm;
    send_presence(c, 1, entry, n + size);
}

/* What stock providers do with presence: they remember it, and tell the server of all that was news to them. */
static void on_presence(Client *c, const uint8_t *p, const uint8_t *end) {
    static Buffer news;
    int count = 0;
    news.start = news.end = 0;
    if (!c->heard) c->heard = calloc(clients, sizeof *c->heard);
    take_uint(&p, end);
    for (uint64_t left = take_uint(&p, end); left && p < end; left--) {
        const uint8_t *entry = p;
        uint64_t id = take_uint(&p, end), clock = take_uint(&p, end);
        size_t size = take_uint(&p, end);
        if (size > (size_t)(end - p)) return;
        p += size;
        Client *who = find(c, id);
        if (!who) continue;
        uint64_t *known = who == c ? &c->cursor_clock : c->heard + who->index;
        if (clock <= *known) continue;
        *known = clock;
        moves_heard += keep == &calm;
        add(&news, entry, p - entry);
        count++;
    }
    if (count) send_presence(c, count, news.bytes, news.end);
}

static void on_message(Client *c, const uint8_t *p, const uint8_t *end) {
    messages += keep == &calm;
    if (hocuspocus && p < end) p += 1 + p[0]; /* names here are shorter than 128 bytes */
    if (end - p < 2) return;
    if (hocuspocus && p[0] == AUTH && !c->authenticated) {
        c->authenticated = 1;
        ask_for_state(c);
    }
    if (p[0] == AWARENESS && cursor_rate && !c->visits) on_presence(c, p + 1, end);
    if (p[0] != SYNC) return;
    if (p[1] == STEP_1) send_sync(c, STEP_2, (const uint8_t[]){0, 0}, 2);
    if (p[1] == STEP_2) c->synced = 1, c->state_size = end - p;
    look_for_markers(c, p, end);
}

/* Connections */

static void on_bytes(Client *c) {
    Frame f;
    Line *l = &c->line;
    if (!l->upgraded) {
        if (!take_head(l)) return;
        if (memcmp(l->in.bytes + 9, "101", 3)) {
            fprintf(stderr, "refused: %.60s\n", (char *)l->in.bytes);
            exit(2);
        }
        l->upgraded = 1;
        if (hocuspocus) authenticate(c);
        else ask_for_state(c);
    }
    while (!l->closed && take_frame(l, &f)) switch (f.kind) {
        case CLOSE:
            fprintf(stderr, "closed by the server with %d\n", f.end - f.bytes > 1 ? f.bytes[0] << 8 | f.bytes[1] : 0);
            l->closed = 1;
            break;
        case PING:
            add_head(&l->out, PONG, f.end - f.bytes, MASKED);
            add(&l->out, f.bytes, f.end - f.bytes);
            flush(l);
            break;
        case BINARY: on_message(c, f.bytes, f.end);
        }
}

static void dial(Client *c) {
    char name[64], target[256], request[512];
    int where = other_port && (c - all) % clients % 2 ? other_port : port;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(where)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (void *)&address, sizeof address)) perror("connect"), exit(2);
    begin(&c->line, fd);
    snprintf(name, sizeof name, "%s%d", prefix, c->room);
    snprintf(target, sizeof target, path, name);
    add(&c->line.out, request, snprintf(request, sizeof request,
        "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n", target, where));
    flush(&c->line);
}

static void serve_events(int milliseconds) {
    struct epoll_event events[256];
    int n = epoll_wait(poller, events, 256, milliseconds);
    for (int i = 0; i < n; i++) {
        Client *c = events[i].data.ptr;
        if (c->line.closed) continue;
        if (events[i].events & EPOLLOUT) flush_when_told(&c->line);
        if (events[i].events & ~EPOLLOUT) {
            receive(&c->line);
            on_bytes(c);
        }
    }
}

static int count_of(int (*what)(const Client *), const Client *some, int count) {
    int n = 0;
    for (int i = 0; i < count; i++) n += what(some + i);
    return n;
}

static int is_synced(const Client *c) { return c->synced; }
static int is_open(const Client *c) { return !c->line.closed; }

static void wait_until_synced(const Client *some, int count) {
    for (double give_up = now() + CONNECT_SECONDS; count_of(is_synced, some, count) < count;) {
        serve_events(5);
        if (now() > give_up) fprintf(stderr, "%d of %d synced\n", count_of(is_synced, some, count), count), exit(2);
    }
}

/* Sends a file as an update, and waits until the server has it. */
static void sow(Client *c) {
    FILE *file = fopen(seed, "rb");
    static uint8_t bytes[1 << 24];
    size_t size = file ? fread(bytes, 1, sizeof bytes, file) : 0;
    if (!size) perror(seed), exit(2);
    fclose(file);
    wait_until_synced(c, 1);
    send_sync(c, UPDATE, bytes, size);
    for (double give_up = now() + CONNECT_SECONDS; c->state_size < size * 3 / 4; ask_for_state(c)) {
        for (double until = now() + .2; now() < until;) serve_events(20);
        if (now() > give_up) fprintf(stderr, "the seed was not taken\n"), exit(2);
    }
}

static void connect_all(void) {
    int n = rooms * clients;
    all = calloc(n, sizeof *all);
    for (int i = 0; i < n; i++) {
        Client *c = all + i;
        c->room = i / clients;
        c->index = i % clients;
        c->writes = c->index < writers;
        c->id = id_of(i);
        dial(c);
        if (i == 0 && seed) sow(c);
        serve_events(i % 32 == 31 ? 1 : 0);
    }
    wait_until_synced(all, n);
}

/* What is to be done */

static double until_next_edit(void) { return rate ? 1 / rate : some(wait_up_to); }

static void start_typing(void) {
    double start = now();
    typing = 1;
    for (int i = 0; i < rooms * clients; i++) {
        Client *c = all + i;
        c->next_at = start + (rate ? some(1 / rate) : some(wait_up_to));
        c->next_move_at = start + some(1 / (cursor_rate ? cursor_rate : 1));
        while (c->writes && !rate && !wait_up_to && c->in_flight < window) type(c);
    }
}

/* One turn of what goes by the clock. */
static void go_on(void) {
    double t = now();
    for (int i = 0; i < rooms * clients && (rate || wait_up_to || cursor_rate); i++) {
        Client *c = all + i;
        if (c->line.closed) continue;
        if (rate || wait_up_to)
            for (; c->writes && c->next_at <= t; c->next_at += until_next_edit()) type(c);
        for (; cursor_rate && c->next_move_at <= t; c->next_move_at += 1 / cursor_rate) move(c);
    }
    serve_events(rate || wait_up_to || cursor_rate ? 1 : 20);
}

static void go_on_for(double duration) {
    for (double until = now() + duration; now() < until;) go_on();
}

/* Guests come all at once, and leave when they have the document. Returns how long that took. */
static double storm(void) {
    double start = now(), took;
    guests = calloc(visitors, sizeof *guests);
    keep = &stormy;
    for (int i = 0; i < visitors; i++) {
        guests[i].visits = 1;
        dial(guests + i);
    }
    while (count_of(is_synced, guests, visitors) < visitors && now() - start < CONNECT_SECONDS) go_on();
    took = now() - start;
    keep = NULL;
    go_on_for(BETWEEN_STORMS_MS / 1e3);
    if (count_of(is_synced, guests, visitors) < visitors || count_of(is_open, guests, visitors) < visitors)
        fprintf(stderr, "not all visitors were served\n"), exit(1);
    for (int i = 0; i < visitors; i++) {
        add_head(&guests[i].line.out, CLOSE, 0, MASKED);
        flush(&guests[i].line);
        hang_up(&guests[i].line);
    }
    go_on_for(BETWEEN_STORMS_MS / 1e3);
    return took;
}

static int by_size(const void *a, const void *b) { return (*(double *)a > *(double *)b) - (*(double *)a < *(double *)b); }

static void print_storms(void) {
    double *took = calloc(storms, sizeof *took);
    for (int i = 0; i < storms; i++) took[i] = storm();
    qsort(took, storms, sizeof *took, by_size);
    printf("{\"phase\": \"storms\", \"join_s\": %.3f, \"longest_join_s\": %.3f, \"state_bytes\": %lu}\n",
        took[storms / 2], took[storms - 1], guests[0].state_size);
}

static void say(const char *phase) { printf("{\"phase\": \"%s\"}\n", phase); }

static void read_options(int count, char **words) {
    for (int i = 1; i + 1 < count; i += 2) {
        const char *name = words[i], *value = words[i + 1];
        if (!strcmp(name, "--port")) port = atoi(value);
        else if (!strcmp(name, "--other-port")) other_port = atoi(value);
        else if (!strcmp(name, "--path")) path = value;
        else if (!strcmp(name, "--protocol")) hocuspocus = !strcmp(value, "hocuspocus");
        else if (!strcmp(name, "--prefix")) prefix = value;
        else if (!strcmp(name, "--root")) root = value;
        else if (!strcmp(name, "--seed")) seed = value;
        else if (!strcmp(name, "--rooms")) rooms = atoi(value);
        else if (!strcmp(name, "--clients")) clients = atoi(value);
        else if (!strcmp(name, "--writers")) writers = atoi(value);
        else if (!strcmp(name, "--window")) window = atoi(value);
        else if (!strcmp(name, "--rate")) rate = atof(value);
        else if (!strcmp(name, "--pause")) wait_up_to = atof(value);
        else if (!strcmp(name, "--cursors")) cursor_rate = atof(value);
        else if (!strcmp(name, "--storms")) storms = atoi(value);
        else if (!strcmp(name, "--visitors")) visitors = atoi(value);
        else if (!strcmp(name, "--seconds")) seconds = atof(value);
        else fprintf(stderr, "unknown option %s\n", name), exit(2);
    }
    if (writers < 0) writers = clients;
}

static double cpu_seconds(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return used.ru_utime.tv_sec + used.ru_stime.tv_sec + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e-6;
}

int main(int count, char **words) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    allow_many_files();
    read_options(count, words);
    poller = epoll_create1(0);
    double begun = now();
    connect_all();
    double connected = now();
    say("synced");

    start_typing();
    go_on_for(WARM_UP);
    keep = &calm;
    say("measuring");
    double busy = -cpu_seconds(), measured = -now();
    go_on_for(seconds);
    measured += now();
    busy += cpu_seconds();
    keep = NULL;
    say("measured");
    if (storms) print_storms();
    typing = 0;

    uint64_t expected = sent * (clients - 1), last = delivered;
    double quiet_since = now();
    while (delivered < expected && now() - quiet_since < QUIET_SECONDS && count_of(is_open, all, rooms * clients)) {
        serve_events(20);
        if (delivered != last) last = delivered, quiet_since = now();
    }
    int open = count_of(is_open, all, rooms * clients);
    printf("{\"phase\": \"done\", \"updates_per_s\": %.1f, \"deliveries_per_s\": %.1f, \"messages_per_s\": %.1f, "
        "\"mean_ms\": %.3f, \"p50_ms\": %.3f, \"p95_ms\": %.3f, \"p99_ms\": %.3f, \"sent\": %lu, \"missing\": %ld, "
        "\"closed\": %d, \"connect_s\": %.3f, \"own_cpu\": %.2f",
        sent_measured / measured, delivered_measured / measured, messages / measured,
        calm.count ? calm.sum / calm.count * 1e3 : -1, percentile_ms(&calm, .5), percentile_ms(&calm, .95),
        percentile_ms(&calm, .99), sent, (long)(expected - delivered), rooms * clients - open, connected - begun,
        busy / measured);
    if (storms) printf(", \"storm_p50_ms\": %.3f, \"storm_p99_ms\": %.3f, \"storm_deliveries\": %lu",
        percentile_ms(&stormy, .5), percentile_ms(&stormy, .99), stormy.count);
    if (cursor_rate) printf(", \"moves_per_s\": %.1f, \"moves_heard_per_s\": %.1f", moves / measured, moves_heard / measured);
    printf("}\n");
    return delivered == expected && open == rooms * clients ? 0 : 1;
}
